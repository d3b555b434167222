"""The commands of a pretend host. The exact words are those that were recorded on real hosts."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING

from deiswizard.cluster.image_names import normalised, split_tag
from deiswizard.cluster.probe_script import COMPONENTS
from deiswizard.demo import commands_logging as logging
from deiswizard.demo.commands_ceph import rename_container
from deiswizard.demo.commands_curl import curl
from deiswizard.demo.commands_data import docker_exec, du, grep, tar
from deiswizard.demo.commands_etcd import deisctl, etcdctl, fleetctl, image_name
from deiswizard.demo.commands_filter import date, iptables, restore, sed, ss
from deiswizard.demo.commands_systemd import journalctl, systemctl, systemd_run
from deiswizard.demo.docker_engine import is_known
from deiswizard.demo.shell import Process

if TYPE_CHECKING:
    from deiswizard.demo.host import PretendHost

HostCommand = Callable[["PretendHost", Process], int]


def echo(host: PretendHost, process: Process) -> int:
    """Without options but -n."""
    words = process.args[1:]
    end = "" if words[:1] == ["-n"] else "\n"
    process.out(" ".join(words[1:] if not end else words) + end)
    return 0


def printf(host: PretendHost, process: Process) -> int:
    """%s and the usual escapes."""
    text = process.args[1].encode().decode("unicode_escape") if len(process.args) > 1 else ""
    rest = process.args[2:]
    process.out(text % tuple(rest[: text.count("%s")]) if "%s" in text else text)
    return 0


def cat(host: PretendHost, process: Process) -> int:
    """Files, or standard input."""
    status = 0
    if len(process.args) == 1:
        process.out(process.stdin.decode("utf-8", "replace"))
    for path in process.args[1:]:
        data = host.read_file(path)
        if data is None:
            process.err(f"cat: {path}: No such file or directory\n")
            status = 1
        else:
            process.out(data.decode("utf-8", "replace"))
    return status


def uname(host: PretendHost, process: Process) -> int:
    """-n is the host's name."""
    words = {"-n": host.name, "-r": "4.6.3-coreos", "-s": "Linux"}
    process.out(f"{words.get(''.join(process.args[1:2]) or '-s', 'Linux')}\n")
    return 0


def test(host: PretendHost, process: Process) -> int:
    """Existence of files, comparison of words and numbers."""
    words = [word for word in process.args[1:] if word != "]"]
    if words[:1] == ["!"]:
        return 1 if _holds(host, words[1:]) else 0
    return 0 if _holds(host, words) else 1


def _holds(host: PretendHost, words: list[str]) -> bool:
    match words:
        case ["-e" | "-f" | "-x" | "-r" | "-s", path]:
            return host.read_file(path) is not None
        case ["-d", path]:
            return any(name.startswith(f"{path.rstrip('/')}/") for name in host.files())
        case ["-n", word]:
            return bool(word)
        case ["-z", word]:
            return not word
        case [a, "=" | "==", b]:
            return a == b
        case [a, "-ge", b]:
            return int(a) >= int(b)
    return bool(words)


def df(host: PretendHost, process: Process) -> int:
    """The one disk, in kibibytes."""
    size, free = host.engine.size // 1024, host.engine.free // 1024
    used = size - free
    process.out("Filesystem     1024-blocks     Used Available Capacity Mounted on\n")
    process.out(f"/dev/sda9 {size} {used} {free} {round(100 * used / size)}% /\n")
    return 0


def sha256sum(host: PretendHost, process: Process) -> int:
    """Of files, or standard input."""
    status = 0
    if len(process.args) == 1:
        process.out(f"{hashlib.sha256(process.stdin).hexdigest()}  -\n")
    for path in process.args[1:]:
        data = host.read_file(path)
        if data is None:
            process.err(f"sha256sum: {path}: No such file or directory\n")
            status = 1
        else:
            process.out(f"{hashlib.sha256(data).hexdigest()}  {path}\n")
    return status


def mv(host: PretendHost, process: Process) -> int:
    """A file or a folder; with --backup=numbered what is there is moved out of the way."""
    flags = {word for word in process.args[1:] if word.startswith("-")}
    old, new = (word.rstrip("/") for word in process.args[1:] if word not in flags)
    moved = host.below(old)
    if not moved:
        process.err(f"mv: cannot stat '{old}': No such file or directory\n")
        return 1
    if "--backup=numbered" in flags and host.below(new):
        number = next(n for n in range(1, 1000) if not host.below(f"{new}.~{n}~"))
        _move(host, new, f"{new}.~{number}~")
    _move(host, old, new)
    return 0


def _move(host: PretendHost, old: str, new: str) -> None:
    for path in host.below(old):
        data = host.read_file(path)
        assert data is not None
        place = new + path.removeprefix(old)
        host.write_file(place, data)
        host.remove_file(path)
        host.modes[place] = host.modes.pop(path, "644")


def touch(host: PretendHost, process: Process) -> int:
    """Files that are there, empty where they were not."""
    for path in process.args[1:]:
        host.write_file(path, b"", appends=True)
    return 0


def mountpoint(host: PretendHost, process: Process) -> int:
    """-q."""
    return 0 if host.is_mount(process.args[-1]) else 1


def rm(host: PretendHost, process: Process) -> int:
    """Files, and with -r or -rf folders."""
    flags = {word for word in process.args[1:] if word.startswith("-")}
    for path in process.args[1:]:
        if path in flags:
            continue
        host.remove_file(path)
        for inside in host.below(path) if flags & {"-r", "-rf"} else ():
            host.remove_file(inside)
    return 0


def install(host: PretendHost, process: Process) -> int:
    """``-m MODE /dev/stdin PATH``."""
    host.write_file(process.args[-1], process.stdin)
    return 0


def lines_of(host: PretendHost, process: Process) -> int:
    """``head`` and ``tail``, -n N."""
    count = next((int(w) for w in process.args if w.lstrip("-").isdecimal()), 10)
    lines = process.stdin.decode("utf-8", "replace").splitlines(keepends=True)
    process.out("".join(lines[: abs(count)] if process.args[0] == "head" else lines[-abs(count) :]))
    return 0


def sudo(host: PretendHost, process: Process) -> int:
    """Everything is allowed without a password."""
    words = process.args[1:]
    while words and words[0].startswith("-"):
        words = words[2:] if words[0] == "-u" else words[1:]
    return host.run_words(process, shlex.join(words))


def sh(host: PretendHost, process: Process) -> int:
    """-c, a file, or standard input."""
    words = process.args[1:]
    if words and not words[0].startswith("-"):
        text = host.read_file(words[0])
        if text is None:
            process.err(f"sh: {words[0]}: No such file or directory\n")
            return 127
        lines = text.decode("utf-8", "replace").splitlines()
        return host.run_words(process, "\n".join(x for x in lines if not x.startswith("#")))
    if words[:1] == ["-c"] and len(words) > 1 and logging.knows(words[1]):
        return logging.play(host, process, words[1])
    if words[:1] == ["-c"] and len(words) > 1:
        return host.run_words(process, words[1])
    return host.run_words(process, process.stdin.decode("utf-8", "replace"))


def sleep(host: PretendHost, process: Process) -> int:
    """At the speed of the pretend cluster."""
    process.sleep(float(process.args[1]) if len(process.args) > 1 else 0)
    return 0


def docker(host: PretendHost, process: Process) -> int:
    """images, history, inspect, pull without a terminal, rmi, and what runs in containers."""
    words = process.args[1:]
    match words:
        case ["--version"]:
            process.out("Docker version 1.12.6, build 78d1802\n")
            return 0
        case ["version"]:
            process.out("Client:\n Version: 1.12.6\n\nServer:\n Version: 1.12.6\n")
            return 0
        case ["pull", *options]:
            return _docker_pull(host, process, options[-1])
        case ["rename", old, new]:
            return rename_container(host, process, old, new)
        case ["inspect", name] if name in host.data_containers:
            process.out("[{}]\n")
            return 0
        case ["history" | "inspect", *options]:
            if host.engine.has(options[-1]):
                process.out(f"[{options[-1]}]\n")
                return 0
            process.err(f"Error: No such image or container: {options[-1]}\n")
            return 1
        case ["images", *_]:
            process.out("REPOSITORY          TAG                 IMAGE ID            SIZE\n")
            for image in host.engine.images():
                name, tag = split_tag(image["RepoTags"][0])
                process.out(
                    f"{name}   {tag}   {image['Id'][7:19]}   {image['Size'] / 1e6:.1f} MB\n"
                )
            return 0
        case ["run", *options]:
            return logging.container_run(host, process, options)
        case ["ps", "--format", form] | ["ps", "-a", "--format", form]:
            stopped = host.data_containers if "-a" in words else ()
            for name in [*logging.container_names(host), *sorted(stopped)]:
                process.out(form.replace("{{.Names}}", name) + "\n")
            return 0
        case ["logs", "--tail", _, name]:
            return logging.container_logs(host, process, name)
        case ["rm", "-v", *names]:
            for name in names:
                host.data_containers.pop(name, None)
            process.out("".join(f"{name}\n" for name in names))
            return 0
        case ["stop" | "rm", *options]:
            process.out(f"{options[-1]}\n")
            return 0
        case ["rmi", name]:
            process.out(f"Untagged: {name}\n" if host.engine.remove(name) else "")
            return 0
        case ["exec", "deis-router", "/opt/nginx/sbin/nginx", "-t"]:
            if not host.has_router:
                process.err("Error response from daemon: No such container: deis-router\n")
                return 1
            status, said = host.cluster.routers.test()
            process.err(said)
            return status
        case ["exec", "-i", container, *rest] | ["exec", container, *rest]:
            answered = docker_exec(host, process, container, rest)
            if answered is not None:
                return answered
    host.cluster.note_unknown(shlex.join(process.args))
    process.err(f"docker: '{' '.join(words[:1])}' is not a docker command.\n")
    return 127


def _docker_pull(host: PretendHost, process: Process, name: str) -> int:
    """Status lines only, as without a terminal; the error on stderr, exit status 1."""
    told: dict[str, str] = {}
    repository, tag = split_tag(normalised(name))
    for line in host.engine.pull(name, process.gone.is_set):
        status = str(line.get("status", ""))
        if "error" in line:
            words = str(line["error"])
            is_missing = not is_known(name)
            process.err(
                words.replace("Error: image", "Error: image") + "\n"
                if is_missing
                else f"Error response from daemon: {words}\n"
            )
            return 1
        if status.startswith("Pulling from"):
            process.out(f"{tag}: {status}\n")
        elif "id" not in line:
            process.out(f"{status}\n")
        elif status not in ("Downloading", "Extracting") and told.get(line["id"]) != status:
            told[line["id"]] = status
            process.out(f"{line['id']}: {status}\n")
    del repository
    return 130 if process.gone.is_set() else 0


def get_image(host: PretendHost, process: Process) -> int:
    """Deis's own: the key, else the release; falls back without a word when etcd is away."""
    process.out(f"{image_name(host, process.args[1])}\n")
    return 0


def preseed(host: PretendHost, process: Process) -> int:
    """Deis's own: one component after the other, no error handling, the last one's exit status."""
    status = 0
    for component in COMPONENTS:
        name = image_name(host, f"/deis/{component}")
        status = 0
        if not host.engine.has(name):
            status = _docker_pull(host, process, name)
    return status


def _says(words: str) -> HostCommand:
    """A command that prints the same on every call, ``{name}`` being the host's."""

    def command(host: PretendHost, process: Process) -> int:
        process.out(words.replace("{name}", host.name))
        return 0

    return command


def ls(host: PretendHost, process: Process) -> int:
    """Every file, whatever was asked."""
    process.out("".join(f"{path}\n" for path in host.files()))
    return 0


COMMANDS: dict[str, HostCommand] = {
    "echo": echo,
    "printf": printf,
    "cat": cat,
    "uname": uname,
    "hostname": _says("{name}\n"),
    "id": _says("uid=500(core) gid=500(core)\n"),
    "test": test,
    "[": test,
    "true": _says(""),
    "false": lambda host, process: 1,
    "umask": _says(""),
    "chmod": logging.chmod,
    "stat": logging.stat,
    "cp": logging.copy,
    "getent": logging.getent,
    "timeout": logging.timeout,
    "command": logging.command,
    "mkdir": _says(""),
    "df": df,
    "sha256sum": sha256sum,
    "mv": mv,
    "mountpoint": mountpoint,
    "touch": touch,
    "rm": rm,
    "install": install,
    "head": lines_of,
    "tail": lines_of,
    "grep": grep,
    "du": du,
    "ls": ls,
    "tar": tar,
    "sleep": sleep,
    "systemctl": systemctl,
    "iptables": iptables,
    "ip6tables": iptables,
    "iptables-restore": restore,
    "ip6tables-restore": restore,
    "ss": ss,
    "sed": sed,
    "date": date,
    "systemd-run": systemd_run,
    "journalctl": journalctl,
    "sudo": sudo,
    "sh": sh,
    "bash": sh,
    "exit": lambda host, process: int((process.args[1:] or ["0"])[0]),
    "curl": curl,
    "docker": docker,
    "etcdctl": etcdctl,
    "fleetctl": fleetctl,
    "deisctl": deisctl,
    "/run/deis/bin/get_image": get_image,
    "/run/deis/bin/preseed": preseed,
}
