"""How logging and monitoring are asked: defaults, the fields of the form, the one file that is read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.base import FormField, Option, Problem
from deiswizard.recommendations.logs.choices import LoggingChoices
from deiswizard.recommendations.logs.drain import parse_drain, shown_drain
from deiswizard.recommendations.logs.facts import (
    drain_value,
    has_cephfs,
    is_proven,
    sent_marker,
    storage_now,
)
from deiswizard.recommendations.logs.marker import CONTAINER
from deiswizard.recommendations.logs.units import (
    AGENTS,
    FORWARDER,
    PRIVATE,
    image_in,
    option_values,
    own_units,
    receiver_in,
)

LARGEST = 64 * 1024
"""Bytes of a unit file that are read; a real one has a few hundred."""


def defaults(snapshot: Snapshot) -> LoggingChoices:
    """What is there now stays. Without a drain one is asked for."""
    drain = drain_value(snapshot)
    raw: dict[str, Any] = {"drain": "keep", "proof": "word"}
    if parse_drain(drain) is None and drain:
        raw["drain"] = "off"
    if has_cephfs(snapshot) is False and storage_now(snapshot) == "file":
        raw["storage"] = "memory"
    forwarder = snapshot.unit(FORWARDER)
    if forwarder is not None:
        to, is_encrypted = receiver_in(forwarder.content)
        raw |= {"forward": "tls" if is_encrypted else "plain", "forward_to": to} if to else {}
    agents = []
    for agent in AGENTS.values():
        unit = snapshot.unit(agent.unit)
        if unit is not None and unit.content:
            agents.append(agent.id)
            raw[f"{agent.id}_image"] = image_in(unit.content)
            if agent.id == "cadvisor":
                binds = any(PRIVATE in v for v in option_values(unit.content, "ExecStart"))
                raw["cadvisor_listen"] = "private" if binds else "all"
    if own_units(snapshot):
        agents.append("own")
    raw["agents"] = tuple(agents)
    return LoggingChoices.model_validate(raw)


def read(choices: LoggingChoices) -> tuple[LoggingChoices, tuple[Problem, ...]]:
    """The operator's own unit file, from this machine."""
    if "own" not in choices.agents or not choices.own_unit:
        return choices, ()
    path = Path(choices.own_unit).expanduser()
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        text = data.decode("utf-8")
    except OSError as error:
        return choices, (_unread(f"cannot be read: {error.strerror}"),)
    except UnicodeDecodeError:
        return choices, (_unread("is not UTF-8 text"),)
    if len(data) > LARGEST:
        return choices, (_unread("is too long for a unit file"),)
    if not text.endswith("\n"):
        text += "\n"
    return choices.model_copy(update={"own_unit_text": text}), ()


def _unread(why: str) -> Problem:
    return Problem(field="own_unit", what=f"the unit file {why}", allowed="a .service file here")


def fingerprints(choices: LoggingChoices) -> Mapping[str, str]:
    """A plan that was saved is refused when the unit file is another one by then."""
    text = choices.own_unit_text
    return {"your unit file": hashlib.sha256(text.encode()).hexdigest()} if text else {}


def secrets(choices: LoggingChoices) -> Mapping[str, SecretStr]:
    """The agents' keys, by the names in the steps."""
    return {
        f"{name}_key": choices.key(name)
        for name in choices.agents
        if choices.key(name).get_secret_value()
    }


def _drains(snapshot: Snapshot) -> tuple[Option, ...]:
    now = drain_value(snapshot)
    keep = Option(
        "keep",
        f"as it is: {shown_drain(now)}",
        recommended=bool(now),
        explain="Nothing is changed. A drain that is not proven yet can be proven.",
    )
    send = Option(
        "send",
        "send to a receiver",
        recommended=not now,
        explain="logger sends every container's lines on, the platform's too, as plain text by udp or tcp; "
        "it speaks neither TLS nor HTTP. It follows within 10 s, nothing restarts.",
    )
    off = Option("off", "off", explain="Logs stay on the cluster and are gone with it.")
    return (keep, send, off) if now else (send, keep, off)


PROOFS = (
    Option(
        "word",
        "a word that you read at the receiver",
        recommended=True,
        explain="A container on a host says one line. Its way is that of every app's line: logspout, "
        f"logger, drain. At the receiver you look for '{CONTAINER}' and the word behind it, open this "
        "again, and type the word. Nobody else knows it, so it proves that the line has arrived.",
    ),
    Option(
        "listen",
        "a listener on a host first, then a word",
        explain="For when nothing arrives and you wonder which side it is. The drain goes to a listener on "
        "a host for half a minute, and a marker must be heard there; then your receiver's turn comes. It "
        "proves that lines leave the cluster, not that your receiver takes them.",
    ),
    Option("none", "none", explain="The overview goes on calling the drain 'partly'."),
)


def _storages(snapshot: Snapshot) -> tuple[Option, ...]:
    lacks_ceph = has_cephfs(snapshot) is False
    now = storage_now(snapshot)
    is_better = lacks_ceph and now == "file"
    keep = Option(
        "keep", f"as it is: {now}", recommended=not is_better, explain="Nothing is changed."
    )
    file = Option(
        "file",
        "files on CephFS",
        warning="no CephFS is mounted there" if lacks_ceph else "",
        explain="They outlive logger. Without CephFS logger leaves this adapter out, and 'deis logs' fails.",
    )
    memory = Option(
        "memory",
        "logger's memory",
        recommended=is_better,
        explain="The last lines of each app, for 'deis logs'. They are gone whenever logger restarts or "
        "moves, so have a drain as well.",
    )
    return (memory, keep, file) if is_better else (keep, file, memory)


FORWARDS = (
    Option("off", "no", recommended=True, explain="Only containers' lines leave, by the drain."),
    Option(
        "tls",
        "with TLS",
        explain="A fleet unit on every host: journalctl | ncat --ssl. The journal holds secrets; ncat "
        "encrypts, but does not look whose certificate the receiver shows.",
    ),
    Option(
        "plain",
        "readable, by tcp",
        explain="A fleet unit on every host: journalctl | ncat. The journal holds secrets, and everybody "
        "on the way can read them.",
        warning="the journal holds secrets",
    ),
)

OWN = Option(
    "own",
    "your own unit file",
    explain="Any other agent, as a global fleet unit from a file on this machine. It is checked for what "
    "the samples lack: it must be global, must hold no secret, and its container needs a name that "
    "logger can read.",
)


def _agents(_snapshot: Snapshot) -> tuple[Option, ...]:
    return (*(Option(a.id, a.title, explain=a.explain) for a in AGENTS.values()), OWN)


LISTENS = (
    Option(
        "private",
        "the private address",
        recommended=True,
        explain="Reached from the cluster's network, and by every container there. No login.",
    ),
    Option(
        "all",
        "every address",
        explain="Reached by everybody who reaches the host, unless a firewall keeps them out. No login.",
        warning="answers everybody, without a login",
    ),
)


def _when(name: str, *values: str) -> Callable[[Snapshot, dict[str, Any]], bool]:
    def shown(_snapshot: Snapshot, raw: dict[str, Any]) -> bool:
        value = raw.get(name)
        if isinstance(value, Sequence) and not isinstance(value, str):
            return any(word in value for word in values)
        return value in values

    return shown


def _asks_proof(snapshot: Snapshot, raw: dict[str, Any]) -> bool:
    choice, now = raw.get("drain"), drain_value(snapshot)
    return choice == "send" or (choice == "keep" and bool(now) and not is_proven(snapshot, now))


def _asks_word(snapshot: Snapshot, raw: dict[str, Any]) -> bool:
    """A marker was sent to the drain that is there and stays."""
    now = drain_value(snapshot)
    stays = raw.get("drain") == "keep" or raw.get("drain_to") == now
    is_open = bool(now) and sent_marker(snapshot, now) is not None and not is_proven(snapshot, now)
    return stays and is_open


def _image_field(agent: str) -> FormField:
    title = AGENTS[agent].title
    return FormField(
        f"{agent}_image",
        f"{title}: image",
        "text",
        "The images of the Deis documentation are no longer kept on Docker Hub, so none is offered. Name one "
        "that your hosts can fetch; it is fetched before the unit is submitted.",
        shown=_when("agents", agent),
        placeholder="repository:tag",
    )


def _key_field(agent: str) -> FormField:
    return FormField(
        f"{agent}_key",
        f"{AGENTS[agent].title}: key",
        "secret",
        f"Put into {AGENTS[agent].file} on every host, readable by root only. Not into the unit: everybody "
        "who may ask fleet reads units. Leave it empty where the hosts have it already.",
        shown=_when("agents", agent),
    )


FIELDS = (
    FormField("drain", "Drain", "one", options=_drains),
    FormField(
        "drain_to",
        "Receiver of the drain",
        "text",
        "udp, syslog (which is udp) or tcp, then host and port; nothing else. An IPv6 address stands in "
        "brackets.",
        shown=_when("drain", "send"),
        placeholder="syslog://logs.example.com:514",
    ),
    FormField("proof", "Proof", "one", options=lambda snapshot: PROOFS, shown=_asks_proof),
    FormField(
        "word",
        "Word at the receiver",
        "text",
        f"Eight letters and digits, behind '{CONTAINER}' in the line that arrived. Leave it empty to have "
        "another marker sent.",
        shown=_asks_word,
        placeholder="eight letters and digits",
    ),
    FormField("storage", "Where logger keeps lines", "one", options=_storages),
    FormField(
        "memory_lines",
        "Lines for each app",
        "number",
        "1 to 1000000; Deis takes 1000. Each may be 65 kB long, and all are in logger's memory.",
        shown=_when("storage", "memory"),
    ),
    FormField("forward", "Forward each host's journal", "one", options=lambda snapshot: FORWARDS),
    FormField(
        "forward_to",
        "Receiver of the journal",
        "text",
        "Host and port, by tcp. Every host must reach it.",
        shown=_when("forward", "plain", "tls"),
        placeholder="logs.example.com:6514",
    ),
    FormField(
        "agents",
        "Agents",
        "many",
        "Each as a fleet unit on every host, also on one that joins later. One that was submitted here and "
        "is no longer ticked is removed.",
        options=_agents,
    ),
    _image_field("cadvisor"),
    FormField(
        "cadvisor_listen",
        "cAdvisor answers on",
        "one",
        options=lambda snapshot: LISTENS,
        shown=_when("agents", "cadvisor"),
    ),
    _image_field("datadog"),
    _key_field("datadog"),
    _image_field("newrelic"),
    _key_field("newrelic"),
    _image_field("sematext"),
    _key_field("sematext"),
    FormField(
        "own_unit",
        "Your unit file",
        "path",
        "A .service file on this machine. Its name in fleet begins with deiswizard-agent-. Those that were "
        "submitted here before stay; leave this empty to add none.",
        shown=_when("agents", "own"),
        placeholder="~/units/node-exporter.service",
    ),
)
