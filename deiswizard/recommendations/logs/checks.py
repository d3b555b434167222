"""What is wrong with choices of logging and monitoring, and what the operator should know of them."""

from __future__ import annotations

from collections.abc import Iterator

from deiswizard.cluster.fleet import LOOKS_SECRET
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.cluster.unit_files import options_of
from deiswizard.recommendations.base import Problem
from deiswizard.recommendations.logs.choices import LoggingChoices, storage_value
from deiswizard.recommendations.logs.drain import (
    FORM,
    parse_drain,
    why_no_drain,
    why_no_receiver,
)
from deiswizard.recommendations.logs.facts import (
    drain_value,
    has_cephfs,
    hosts_without,
    is_proven,
    on_host,
    sent_marker,
    storage_now,
)
from deiswizard.recommendations.logs.marker import is_word_of, logger_host, speaker
from deiswizard.recommendations.logs.units import (
    AGENTS,
    Agent,
    bad_tags,
    containers_in,
    option_values,
    own_unit_name,
    own_units,
    watching_units,
)
from deiswizard.recommendations.preseed import fleet as preseed_fleet

TWICE = (
    "the drain and the journal's forwarder both send containers' lines, because their units write them "
    "into the journal too: a receiver of both gets each line twice"
)
JOURNAL_HOLDS_SECRETS = "the journal of a host holds secrets, of apps and of the platform too"
LOST_MEMORY = "the lines that logger keeps in its memory are lost by the change"
LOST_FILES = (
    "the lines kept in files stay on CephFS, but 'deis logs' shows only new ones; what is in memory "
    "is lost whenever logger restarts"
)
NO_CEPHFS = (
    "no CephFS is mounted where logger keeps its files: it would leave the adapter out, and "
    "'deis logs' fails"
)


def effective_drain(snapshot: Snapshot, choices: LoggingChoices) -> str:
    """The drain's value once the choices are applied; empty: off."""
    if choices.drain == "keep":
        return drain_value(snapshot)
    return choices.drain_to if choices.drain == "send" else ""


def told_word(snapshot: Snapshot, choices: LoggingChoices) -> bool:
    """The word of the last marker was told, and the drain that it was sent to stays."""
    drain = effective_drain(snapshot, choices)
    is_same = bool(drain) and drain == drain_value(snapshot)
    return is_same and is_word_of(choices.word, sent_marker(snapshot, drain))


def check_choices(snapshot: Snapshot, choices: LoggingChoices) -> tuple[Problem, ...]:
    """What cannot work, and what might not."""
    return (
        *_drain(snapshot, choices),
        *_storage(snapshot, choices),
        *_forward(choices, bool(effective_drain(snapshot, choices))),
        *(problem for name in choices.agents for problem in _agent(snapshot, choices, name)),
    )


def _drain(snapshot: Snapshot, choices: LoggingChoices) -> Iterator[Problem]:
    if choices.drain == "send":
        if why := why_no_drain(choices.drain_to):
            yield Problem(field="drain_to", what=why, allowed=FORM)
            return
        drain = parse_drain(choices.drain_to)
        if drain is not None and drain.to.host in ("localhost", "127.0.0.1", "::1"):
            yield Problem(
                field="drain_to",
                what="that is logger's own container: nothing receives there",
                allowed="a host that the cluster can reach",
            )
    drain_now = effective_drain(snapshot, choices)
    if not drain_now:
        return
    changes = drain_now != drain_value(snapshot)
    if choices.proof == "listen" and (speaker(snapshot) is None or logger_host(snapshot) is None):
        yield Problem(
            field="proof",
            what="no reachable host runs deis-logspout, or none deis-logger: there is nothing to listen to",
            allowed="word, none",
        )
    sent = sent_marker(snapshot, drain_now)
    is_open = sent is not None and not changes and not is_proven(snapshot, drain_now)
    if is_open and choices.word.strip() and not told_word(snapshot, choices):
        yield Problem(
            field="word",
            what="this is not the word of the last marker that was sent to this drain",
            allowed="the word behind 'deiswizard-marker' at the receiver, or nothing",
        )


def _storage(snapshot: Snapshot, choices: LoggingChoices) -> Iterator[Problem]:
    now, wanted = storage_now(snapshot), storage_value(choices)
    stays = wanted in ("keep", now)
    if (choices.storage == "file" or (stays and now == "file")) and has_cephfs(snapshot) is False:
        yield Problem(field="storage", what=NO_CEPHFS, allowed="memory", blocks=False)
    if stays:
        return
    lost = LOST_MEMORY if now.startswith("memory") else LOST_FILES
    yield Problem(field="storage", what=lost, blocks=False)


def _forward(choices: LoggingChoices, has_drain: bool) -> Iterator[Problem]:
    if choices.forward == "off":
        return
    if why := why_no_receiver(choices.forward_to):
        what = "write host:port without a scheme" if "://" in choices.forward_to else why
        yield Problem(field="forward_to", what=what, allowed="host:port")
    if choices.forward == "plain":
        yield Problem(
            field="forward",
            what=f"{JOURNAL_HOLDS_SECRETS}, and they leave the cluster readable",
            allowed="tls",
            blocks=False,
        )
    else:
        yield Problem(field="forward", what=JOURNAL_HOLDS_SECRETS, blocks=False)
    if has_drain:
        yield Problem(field="forward", what=TWICE, blocks=False)


def _agent(snapshot: Snapshot, choices: LoggingChoices, name: str) -> Iterator[Problem]:
    if name == "own":
        yield from _own(snapshot, choices)
        return
    agent = AGENTS[name]
    field, image = f"{name}_image", choices.image(name)
    if not image:
        yield Problem(
            field=field,
            what=f"which image {agent.title} is run from is not said: those of the Deis "
            "documentation are no longer kept, so none is offered",
            allowed="repository:tag",
        )
    elif not preseed_fleet.is_safe(image):
        yield Problem(field=field, what="this is not an image name", allowed="repository:tag")
    elif agent.retired and image.partition(":")[0].removeprefix("docker.io/") == agent.retired:
        yield Problem(
            field=field,
            what=f"{agent.retired} is retired on Docker Hub: hosts that join later may not find it",
            blocks=False,
        )
    if name == "cadvisor" and choices.cadvisor_listen == "all":
        yield Problem(
            field="cadvisor_listen",
            what="port 8080 then answers everybody who reaches a host, without a login",
            allowed="private",
            blocks=False,
        )
    yield from _twin(snapshot, agent)
    if agent.file:
        yield from _key(snapshot, choices, agent)


def _twin(snapshot: Snapshot, agent: Agent) -> Iterator[Problem]:
    """The same agent, submitted by somebody with the documentation's unit."""
    words = (agent.id, agent.title.partition(" ")[0].lower())
    for unit in watching_units(snapshot):
        is_ours = unit.name.startswith("deiswizard-")
        if not is_ours and any(word in unit.name.lower() for word in words):
            yield Problem(
                field="agents",
                what=f"{unit.name} runs already: two of them report everything twice"
                + (", and want the same port 8080" if agent.id == "cadvisor" else ""),
                allowed=f"without {agent.id}, or fleetctl destroy {unit.name} first",
                blocks=False,
            )


def _key(snapshot: Snapshot, choices: LoggingChoices, agent: Agent) -> Iterator[Problem]:
    key, field = choices.key(agent.id).get_secret_value(), f"{agent.id}_key"
    if key:
        if (
            not (key.isascii() and key.isprintable())
            or set(key) & set(" \"'\\$#")
            or len(key) > 512
        ):
            yield Problem(
                field=field,
                what="the key holds a space, a quote or another character that no key has",
                allowed="the key as the service shows it, without quotes",
            )
        return
    lacking = [host.name for host in hosts_without(snapshot, agent.file)]
    unknown = [host.name for host in snapshot.reachable_hosts if on_host(snapshot, host) is None]
    if lacking or unknown:
        yield Problem(
            field=field,
            what=f"the key is not on {', '.join((lacking or unknown)[:3])}"
            + (f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""),
            allowed="type the key; it is put into a file on each host, not into the unit",
        )


def _own(snapshot: Snapshot, choices: LoggingChoices) -> Iterator[Problem]:
    def wrong(what: str, allowed: str = "", *, blocks: bool = True) -> Problem:
        return Problem(field="own_unit", what=what, allowed=allowed, blocks=blocks)

    text = choices.own_unit_text or ""
    if not choices.own_unit and own_units(snapshot):
        return
    if not choices.own_unit:
        yield wrong("the path of your unit file is missing", "a .service file on this machine")
        return
    if not own_unit_name(choices.own_unit):
        yield wrong(
            "the file's name cannot be a unit's name",
            "small letters, digits, - and _, then .service",
        )
        return
    if not text.strip():
        yield wrong("the unit file is empty or was not read", "a .service file on this machine")
        return
    if not option_values(text, "ExecStart"):
        yield wrong("the unit has no ExecStart=, so it would run nothing")
    is_global = any(
        (o.section, o.name, o.value.lower()) == ("X-Fleet", "Global", "true")
        for o in options_of(text)
    )
    if not is_global:
        yield wrong(
            "without Global=true fleet runs it on one host only", "[X-Fleet] with Global=true"
        )
    if "${secret:" in text:
        yield wrong("'${secret:' has a meaning of its own here, so it cannot stand in a unit")
    if found := LOOKS_SECRET.search(text):
        yield wrong(
            f"{found[1]} looks like a secret: everybody who may ask fleet reads a unit, and it would "
            "stand in the journal of this run",
            "an EnvironmentFile= on the hosts (mode 0600), with only the variable's name in the unit",
        )
    names = containers_in(text)
    if bad := bad_tags(names):
        yield wrong(
            f"the container's name {bad[0]} holds a capital letter or a dot: logger cannot read it as "
            "a tag, and its first line stops all logging until logger restarts",
            "small letters, digits, - and _",
        )
    commands = " ".join(option_values(text, "ExecStartPre"))
    for name in names:
        if "docker rm" not in commands or name not in commands:
            yield wrong(
                f"no ExecStartPre= removes the container {name}: after a crash its name is taken and "
                "the unit cannot start again",
                f"ExecStartPre=-/usr/bin/docker rm -f {name}",
                blocks=False,
            )
    if not option_values(text, "Restart"):
        yield wrong(
            "without Restart= it stays away once it has ended", "Restart=always", blocks=False
        )
