"""The marker: a line that goes the whole way of an app's line, and the word by which it is known again.

A container on a host says it; logspout there gives it the container's name as tag and sends it to
logger (``time deiswizard-marker[1]: deiswizard-marker WORD``), which matches the tag and drains it.
The host makes the word up, and only its checksum is kept in etcd: who knows the word has seen the
line arrive. Nothing is left behind: the container is removed, and the app of that name that
logger's storage made is deleted over its web port.

That one host's line arrives says nothing of the other hosts' logspouts. Each of them says a line of its
own, and looks for it where logger keeps it.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass

from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.recommendations.logs.drain import Drain, drain_digest, parse_drain

CONTAINER = "deiswizard-marker"
"""The container's name: small letters and ``-`` only, or logger could not read it as a tag."""

MARKER_KEY = "/deiswizard/logging/marker"
"""``DRAIN CHECKSUM``: for which drain a marker was sent, and the sha256 of its word."""

PROVEN_KEY = "/deiswizard/logging/proven"
"""``DRAIN CHECKSUM``: the marker whose word was told."""

HEARD_KEY = "/deiswizard/logging/heard"
"""``DRAIN yes`` or ``DRAIN no``: whether a listener on a host heard a marker, when that drain was tried."""

LOGSPOUT, LOGGER = "deis-logspout.service", "deis-logger.service"
WEB_PORT = 8088
LISTEN_PORT = 5514
LISTEN_SECONDS = 60

WORD = "word=$(tr -dc 0-9a-f < /dev/urandom | head -c 8)"
RUN = """\
image=$(docker inspect -f '{{.Config.Image}}' deis-logspout) || exit 3
docker rm -f deiswizard-marker >/dev/null 2>&1
docker run --rm --name deiswizard-marker --entrypoint /bin/sh "$image" \
-c "sleep 3; for n in 1 2 3; do echo deiswizard-marker $word; sleep 1; done" >/dev/null || exit 4"""
"""Said three times: logspout needs a moment to attach, and sends by udp. Its own image is on every host and has a shell."""

KEEP = """\
sum=$(printf %s "$word" | sha256sum | cut -d ' ' -f 1)
etcdctl set MARKER_KEY "DRAIN $sum" >/dev/null || exit 5"""

CLEAR = """\
curl -s -o /dev/null -m 5 -X DELETE http://LOGGER/deiswizard-marker
true"""

REACH = """\
image=$(docker inspect -f '{{.Config.Image}}' deis-logspout) || exit 3
docker rm -f deiswizard-marker >/dev/null 2>&1
docker run --rm --name deiswizard-marker --entrypoint /bin/sh "$image" \
-c "sleep 3; for n in 1 2 3; do echo the lines of $(uname -n) come through $word; sleep 1; done" >/dev/null || exit 4
tries=0
while [ $tries -lt 10 ]; do
  if curl -s -m 5 'http://LOGGER/deiswizard-marker?log_lines=1000' | grep -q "$word"; then
    echo 'logger has got a line of this host'
    exit 0
  fi
  tries=$((tries + 1))
  sleep 1
done
echo 'logger has got no line of this host. Here: sudo systemctl restart deis-logspout'
exit 6"""

LISTEN = """\
said=no
heard=$(mktemp)
timeout SECONDS ncat PROTOCOL-l ADDRESS PORT > "$heard" < /dev/null &
listener=$!
trap 'kill $listener 2>/dev/null; rm -f "$heard"' EXIT
sleep 1
kill -0 $listener 2>/dev/null || echo 'nothing can listen on ADDRESS:PORT'"""

HEAR = """\
tries=0
while [ $said = no ] && [ $tries -lt 15 ]; do
  tries=$((tries + 1))
  sleep 1
  grep -q "deiswizard-marker $word" "$heard" && said=yes
done
if [ $said = yes ]; then echo "the marker arrived at ADDRESS:PORT"
else echo "the marker did not arrive at ADDRESS:PORT"; fi
etcdctl set HEARD_KEY "DRAIN $said" >/dev/null || exit 5"""
"""It ends well either way: the drain must not stay at the listener. A guard judges the key afterwards."""


@dataclass(frozen=True)
class Sent:
    """A marker that was sent, for the drain with that digest."""

    drain: str
    checksum: str


def parse_sent(text: str) -> Sent | None:
    """The value of one of the two keys; None when it is none."""
    match = re.fullmatch(r"([0-9a-f]{16}) ([0-9a-f]{64})", text.strip())
    return Sent(match[1], match[2]) if match else None


def is_word_of(word: str, sent: Sent | None) -> bool:
    """Whether that is the word of this marker."""
    return (
        sent is not None
        and hashlib.sha256(word.strip().lower().encode()).hexdigest() == sent.checksum
    )


def logger_host(snapshot: Snapshot) -> HostFacts | None:
    """Where logger runs now; None: nowhere, or that host is out of reach."""
    found = next(iter(snapshot.where(LOGGER)), None)
    return found if found is not None and found.reachable else None


def speaker(snapshot: Snapshot) -> HostFacts | None:
    """A host with logspout, rather not logger's own: then the network between them is in it too."""
    hosts = spouting(snapshot)
    own = logger_host(snapshot)
    others = [host for host in hosts if own is None or host.name != own.name]
    return next(iter([*others, *hosts]), None)


def listener_drain(snapshot: Snapshot, protocol: str) -> Drain | None:
    """The drain of the trial: a listener on the host that says the marker."""
    host = speaker(snapshot)
    return parse_drain(f"{protocol}://{host.address}:{LISTEN_PORT}") if host else None


def web_address(snapshot: Snapshot) -> str:
    """Logger's web port, by the address it tells in etcd."""
    host = snapshot.value("/deis/logs/host")
    if not re.fullmatch(r"[A-Za-z0-9.:_-]+", host):
        own = logger_host(snapshot)
        host = own.address if own else "127.0.0.1"
    return f"[{host}]:{WEB_PORT}" if ":" in host else f"{host}:{WEB_PORT}"


def say_command(snapshot: Snapshot, drain: str) -> str:
    """Says a marker and keeps its checksum, for the drain with that value."""
    keep = KEEP.replace("MARKER_KEY", MARKER_KEY).replace("DRAIN", drain_digest(drain))
    return "\n".join([WORD, RUN, keep, clear_command(snapshot)])


def hear_command(snapshot: Snapshot, drain: Drain, wanted: str) -> str:
    """Listens where ``drain`` goes, says a marker, and keeps for the drain ``wanted`` if it arrived."""

    def put(text: str) -> str:
        return (
            text.replace("SECONDS", str(LISTEN_SECONDS))
            .replace("PROTOCOL", "-u " if drain.protocol == "udp" else "")
            .replace("ADDRESS", shlex.quote(drain.to.host))
            .replace("PORT", str(drain.to.port))
            .replace("HEARD_KEY", HEARD_KEY)
            .replace("DRAIN", drain_digest(wanted))
        )

    run = f"(\n{RUN}\n) || echo 'no marker could be said'"
    return "\n".join([WORD, put(LISTEN), run, put(HEAR), clear_command(snapshot)])


def spouting(snapshot: Snapshot) -> tuple[HostFacts, ...]:
    """The hosts whose logspout runs and can be asked: each one can be broken by itself."""
    return tuple(host for host in snapshot.where(LOGSPOUT) if host.reachable)


def reach_command(snapshot: Snapshot) -> str:
    """Says a line and looks whether logger, which keeps lines for ``deis logs``, has got it."""
    return f"{WORD}\n{REACH.replace('LOGGER', web_address(snapshot))}"


def clear_command(snapshot: Snapshot) -> str:
    """Takes the app away that logger's storage has made of the markers."""
    return CLEAR.replace("LOGGER", web_address(snapshot))


def heard_value(wanted: str) -> str:
    """What ``HEARD_KEY`` is when the marker was heard as the drain ``wanted`` was tried."""
    return f"{drain_digest(wanted)} yes"


def takes_command(drain: str) -> str:
    """Prints 1 when the last drain that logger has taken is this one, else 0; never its value.

    For an empty one: 1 when logger has any.
    """
    exact = re.sub(r"[.\[\]*^$\\]", lambda match: "\\" + match[0], drain)
    wanted = shlex.quote(f"Activated new drain: {exact}$" if drain else "Activated new drain")
    return (
        "docker logs --tail 2000 deis-logger 2>&1 "
        "| grep -E 'Activated new drain|Deactivated drain' | tail -n 1 "
        f"| grep -c {wanted}; true"
    )


def stores_command(adapter: str) -> str:
    """Prints 1 when the last storage adapter that logger has taken is this one, else 0."""
    wanted = shlex.quote(f"Activated new storage adapter: {adapter}$")
    return (
        "docker logs --tail 2000 deis-logger 2>&1 "
        "| grep 'Activated new storage adapter' | tail -n 1 "
        f"| grep -c {wanted}; true"
    )
