"""What a pretend host does of logging: markers, forwarders, containers that stay, and what is asked of them."""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import shlex
import socket
import ssl
from typing import TYPE_CHECKING

from deiswizard.demo.shell import Process

if TYPE_CHECKING:
    from deiswizard.demo.host import PretendHost

LOGSPOUT, LOGGER = "deis-logspout.service", "deis-logger.service"
SETS = re.compile(r'etcdctl set (\S+) "([0-9a-f]{16}) \$(sum|said)"')
LISTENS = re.compile(r"ncat (-u )?-l (\S+) (\d+)")
FORWARDS = re.compile(r"journalctl [^|]*-f[^|]*\| ncat (--ssl )?(\S+) (\d+)")
REACHES = re.compile(r"come through \$word")
CLEARS = re.compile(r"^curl .*-X DELETE http://\S+:8088/(\S+)\ntrue$")
ATTACH_SECONDS = 3.0
RETRY_SECONDS = 1.0
LOOK_SECONDS = 0.1
MODE = re.compile(r"[0-7]{3,4}")


def knows(text: str) -> bool:
    """Whether a script is one of those that are played here as a whole."""
    return text.startswith("word=$(") or bool(FORWARDS.match(text) or CLEARS.match(text))


def play(host: PretendHost, process: Process, text: str) -> int:
    """Do what the script does."""
    if match := CLEARS.match(text):
        host.cluster.logger.forget(match[1])
        return 0
    match = FORWARDS.search(text)
    return _forward(host, process, match) if match else _marker(host, process, text)


def _marker(host: PretendHost, process: Process, text: str) -> int:
    """A container says a line with a word; the word's checksum, or whether it was heard, is kept."""
    if host not in host.cluster.placement[LOGSPOUT]:
        process.err("Error: No such image or container: deis-logspout\n")
        return 3
    word, logger = secrets.token_hex(4), host.cluster.logger
    listens = LISTENS.search(text)
    heard: list[str] = []
    if listens:
        logger.listeners[f"{listens[2]}:{listens[3]}"] = heard
    process.sleep(ATTACH_SECONDS)
    if REACHES.search(text):
        return _reach(host, process, word)
    if host.name not in host.cluster.silent:
        for _ in range(3):
            logger.take("deiswizard-marker", f"deiswizard-marker {word}")
    logger.forget("deiswizard-marker")
    said = {"sum": hashlib.sha256(word.encode()).hexdigest(), "said": "no"}
    if listens:
        logger.listeners.pop(f"{listens[2]}:{listens[3]}", None)
        is_heard = any(word in line for line in heard)
        said["said"] = "yes" if is_heard else "no"
        process.out(
            f"the marker {'arrived' if is_heard else 'did not arrive'} at {listens[2]}:{listens[3]}\n"
        )
    for key, digest, name in SETS.findall(text):
        host.cluster.store.put(key, f"{digest} {said[name]}")
    return 0


def _reach(host: PretendHost, process: Process, word: str) -> int:
    """Its line is looked for where logger keeps it."""
    logger = host.cluster.logger
    if host.name not in host.cluster.silent:
        logger.take("deiswizard-marker", f"the lines of {host.name} come through {word}")
    if any(word in line for line in logger.kept.get("deiswizard-marker", ())):
        process.out("logger has got a line of this host\n")
        return 0
    process.out("logger has got no line of this host. Here: sudo systemctl restart deis-logspout\n")
    return 6


def _forward(host: PretendHost, process: Process, match: re.Match[str]) -> int:
    """Sends a line of the journal to a receiver that is known, and stays until it or that one ends."""
    address = host.cluster.outside.get(f"{match[2]}:{match[3]}")
    try:
        if address is None:
            raise ConnectionRefusedError
        connection: socket.socket = socket.create_connection(address, timeout=5)
        if match[1]:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = context.wrap_socket(connection)
    except OSError:
        process.err("Ncat: Connection refused.\n")
        process.sleep(RETRY_SECONDS)
        return 1
    with contextlib.closing(connection):
        connection.sendall(f"Jul 01 10:00:00 {host.name} kernel: the journal goes on\n".encode())
        connection.settimeout(LOOK_SECONDS)
        while not process.gone.is_set():
            try:
                if not connection.recv(1):
                    return 0
            except TimeoutError:
                continue
            except OSError:
                return 1
    return 0


def container_run(host: PretendHost, process: Process, words: list[str]) -> int:
    """A container in the foreground, until it is ended. Its image is fetched where it is missing."""
    takes_value = {"-v", "-e", "-h", "-p", "--name", "--volume", "--publish", "--entrypoint"}
    name, at = "", 0
    while at < len(words) and words[at].startswith("-"):
        if words[at] == "--name":
            name = words[at + 1]
        at += 2 if words[at] in takes_value else 1
    image = words[at] if at < len(words) else ""
    if not host.engine.has(image):
        lines = list(host.engine.pull(image, process.gone.is_set))
        if not host.engine.has(image):
            error = next((str(line["error"]) for line in lines if "error" in line), "not found")
            process.err(f"Unable to find image '{image}' locally\ndocker: {error}.\n")
            return 125
    host.containers.add(name)
    process.gone.wait()
    host.containers.discard(name)
    return 0


def container_names(host: PretendHost) -> list[str]:
    """Of Deis's containers here, and of those that were run."""
    deis = [
        unit.removesuffix(".service").partition("@")[0]
        for unit, hosts in host.cluster.placement.items()
        if host in hosts and not unit.startswith("deis-store-volume")
    ]
    return sorted({*deis, *host.containers})


def container_logs(host: PretendHost, process: Process, name: str) -> int:
    """Of deis-logger only."""
    if name != "deis-logger" or host not in host.cluster.placement[LOGGER]:
        process.err(f"Error: No such container: {name}\n")
        return 1
    process.out("".join(f"{line}\n" for line in host.cluster.logger.words()))
    return 0


def chmod(host: PretendHost, process: Process) -> int:
    """``MODE FILE...``."""
    for path in process.args[2:]:
        if MODE.fullmatch(process.args[1]):
            host.modes[path] = process.args[1].lstrip("0")
    return 0


def stat(host: PretendHost, process: Process) -> int:
    """``-c '%a %n'``."""
    status = 0
    for path in process.args[3:]:
        if host.read_file(path) is None:
            process.err(f"stat: cannot stat '{path}': No such file or directory\n")
            status = 1
        else:
            process.out(f"{host.modes.get(path, '644')} {path}\n")
    return status


def copy(host: PretendHost, process: Process) -> int:
    """One file, with its mode."""
    source, target = (word for word in process.args[1:] if not word.startswith("-"))
    data = host.read_file(source)
    if data is None:
        process.err(f"cp: cannot stat '{source}': No such file or directory\n")
        return 1
    host.write_file(target, data)
    host.modes[target] = host.modes.get(source, "644")
    return 0


def getent(host: PretendHost, process: Process) -> int:
    """``hosts NAME``: the names of receivers that are known."""
    wanted = process.args[-1]
    if any(name.rpartition(":")[0] == wanted for name in host.cluster.outside):
        process.out(f"198.51.100.7     {wanted}\n")
        return 0
    return 2


def timeout(host: PretendHost, process: Process) -> int:
    """The command, without the limit."""
    return host.run_words(process, shlex.join(process.args[2:]))


def command(host: PretendHost, process: Process) -> int:
    """``-v NAME``: every host has what is asked for."""
    process.out(f"/usr/bin/{process.args[-1]}\n")
    return 0


def takes_connections(host: PretendHost, path: str) -> bool:
    """Whether ``/dev/tcp/HOST/PORT`` can be opened."""
    name, _, port = path.removeprefix("/dev/tcp/").rpartition("/")
    address = host.cluster.outside.get(f"{name}:{port}")
    if address is None:
        return False
    try:
        socket.create_connection(address, timeout=2).close()
    except OSError:
        return False
    return True
