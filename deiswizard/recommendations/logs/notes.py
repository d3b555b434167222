"""What the operator is told before a change of logging and monitoring: its traps (deis-facts 8)."""

from __future__ import annotations

from collections.abc import Iterator

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.logs.checks import (
    JOURNAL_HOLDS_SECRETS,
    LOST_FILES,
    LOST_MEMORY,
    NO_CEPHFS,
    TWICE,
    effective_drain,
    told_word,
)
from deiswizard.recommendations.logs.choices import LoggingChoices, storage_value
from deiswizard.recommendations.logs.drain import parse_drain
from deiswizard.recommendations.logs.facts import (
    drain_value,
    has_cephfs,
    is_proven,
    keeps_lines,
    storage_now,
)
from deiswizard.recommendations.logs.marker import CONTAINER, speaker, spouting
from deiswizard.recommendations.logs.units import AGENTS

STATUS_KEY = "/deis/router/enableNginxStatus"
STATUS_IS_PUBLIC = (
    "/router-nginx-status on port 80 tells everybody how the routers are used (enableNginxStatus)"
)
EVERY_LINE = (
    "the drain gets the lines of every container, the platform's too, not the apps' alone as the Deis "
    "documentation says"
)
NO_TAG_STOPS = (
    "a line from a container whose name holds a capital letter or a dot stops logger's storage and its "
    "drain, until logger is restarted"
)
MUTES = "after 5 failed dials logger sends nothing for 5 minutes, without a word; lines of that time are lost"
READABLE = "lines leave the cluster readable: logger speaks no TLS"
UDP_LOSES = "udp loses lines where the network does, and nobody is told"
TCP_DIALS = "over tcp logger dials the receiver anew every minute, which must allow that"
LONG_LINES = (
    "lines over 65507 bytes are cut on their way to logger, which is udp whatever the drain is"
)
NOT_CHECKED = "ncat --ssl encrypts, but does not look whose certificate the receiver shows"
KEY_READABLE = (
    "who may ask a host's Docker engine reads an agent's key (docker inspect); port 2375 is open to "
    "every host and container without a login"
)
NEW_HOSTS = (
    "a host that joins later gets the unit, but not the file with the key: the agent cannot start there "
    "until this is run again; the overview names such hosts"
)


def notes(snapshot: Snapshot, choices: LoggingChoices) -> tuple[str, ...]:
    """One sentence for each."""
    return tuple(
        (
            *_of_drain(snapshot, choices),
            *_of_storage(snapshot, choices),
            *_of_forwarder(snapshot, choices),
            *_of_agents(snapshot, choices),
        )
    )


def _of_drain(snapshot: Snapshot, choices: LoggingChoices) -> Iterator[str]:
    wanted = effective_drain(snapshot, choices)
    drain = parse_drain(wanted)
    if drain is None:
        if wanted:
            yield "the drain's value is one that logger cannot use, and it stays as it is"
        return
    if wanted != drain_value(snapshot):
        yield EVERY_LINE
        yield NO_TAG_STOPS
        yield MUTES
        yield READABLE
        yield LONG_LINES
        yield UDP_LOSES if drain.protocol == "udp" else TCP_DIALS
    is_settled = wanted == drain_value(snapshot) and is_proven(snapshot, wanted)
    if choices.proof == "listen" and not is_settled:
        yield (
            "first the drain goes to a listener on a host, for about half a minute: the receiver misses "
            "the lines of that time. It proves that lines leave the cluster, not that your receiver "
            "takes them"
        )
    if choices.proof != "none" and not is_settled:
        yield from _of_hosts(snapshot, choices)
    if choices.proof == "none":
        yield "the drain stays unproven: the overview calls it 'partly'"
    elif is_settled or told_word(snapshot, choices):
        return
    elif (host := speaker(snapshot)) is not None:
        yield (
            f"{host.name} says a line '{CONTAINER} WORD': look for it at the receiver, open this again, "
            "and type the word. Until then the overview calls the drain 'partly'"
        )
    else:
        yield "no reachable host runs deis-logspout, so no marker can be sent: the drain stays unproven"


def _of_hosts(snapshot: Snapshot, choices: LoggingChoices) -> Iterator[str]:
    """Which hosts' lines are tried."""
    hosts, first = spouting(snapshot), speaker(snapshot)
    if keeps_lines(snapshot, choices):
        yield (
            f"each of the {len(hosts)} hosts with deis-logspout says a line, and logger must have got it; the "
            "receiver gets these lines, too"
        )
    elif first is not None and len(hosts) > 1:
        yield (
            f"only the lines of {first.name} are tried: logger keeps none, where those of the other hosts could "
            "be looked for"
        )


def _of_storage(snapshot: Snapshot, choices: LoggingChoices) -> Iterator[str]:
    now, wanted = storage_now(snapshot), storage_value(choices)
    if wanted in ("keep", now):
        return
    yield LOST_MEMORY if now.startswith("memory") else LOST_FILES
    if wanted == "file" and has_cephfs(snapshot) is False:
        yield NO_CEPHFS
    if wanted != "file":
        lines = choices.memory_lines
        yield f"logger's memory grows up to {lines} lines for each app, of up to 65 kB each"


def _of_forwarder(snapshot: Snapshot, choices: LoggingChoices) -> Iterator[str]:
    if choices.forward == "off":
        return
    yield JOURNAL_HOLDS_SECRETS
    if choices.forward == "tls":
        yield NOT_CHECKED
    else:
        yield "the journal leaves the cluster readable"
    if effective_drain(snapshot, choices):
        yield TWICE


def _of_agents(snapshot: Snapshot, choices: LoggingChoices) -> Iterator[str]:
    agents = [AGENTS[name] for name in choices.agents if name in AGENTS]
    if "cadvisor" in choices.agents and choices.cadvisor_listen == "all":
        yield "cAdvisor answers everybody on port 8080 of every host, without a login"
    elif "cadvisor" in choices.agents:
        yield "cAdvisor answers on port 8080 of the private address only, to every host and container there"
    if any(agent.file for agent in agents):
        yield (
            f"keys stand in {', '.join(a.file for a in agents if a.file)} on every host, readable by root "
            "only; the units hold none, because everybody who may ask fleet reads those"
        )
        yield KEY_READABLE
        yield NEW_HOSTS
    if "own" in choices.agents:
        yield "your own unit stands in fleet and in the journal of this run as it is"
    gone = [host.name for host in snapshot.hosts if not host.reachable]
    if (agents or choices.forward != "off") and gone:
        yield f"not waited for on {', '.join(gone)}, which cannot be reached; the units run there too"
    if snapshot.value(STATUS_KEY) == "true":
        yield f"besides: {STATUS_IS_PUBLIC}"
