"""The fleet units of logging and monitoring: made from templates, and how they stand on a cluster.

Each runs on every host, today's and tomorrow's. An image's name or a receiver's is checked before it
is put into a unit, so that nothing from a form reaches a shell by itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from deiswizard.cluster.placement import app_of, fits, pairs_of
from deiswizard.cluster.snapshot import HostFacts, Snapshot, Unit, UnitState
from deiswizard.cluster.unit_files import CONTINUED, options_of
from deiswizard.errors import PreconditionError
from deiswizard.recommendations.logs.choices import LoggingChoices
from deiswizard.recommendations.logs.drain import parse_receiver
from deiswizard.recommendations.preseed import fleet as preseed_fleet

FORWARDER = "deiswizard-log-forwarder.service"
OWN_PREFIX = "deiswizard-agent-"
FOLDER = "/etc/deiswizard"
"""Where the files with the agents' keys are, on every host."""

OWN_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}\.service")
CONTAINER = re.compile(r"--name[= ]\s*(\S+)")
TAG = re.compile(r"[-_a-z0-9]+")
"""A container's name that logger can read as a tag (its ``appRegex``)."""

PRIVATE = "${COREOS_PRIVATE_IPV4}:"
"""systemd puts the host's private address in, from /etc/environment."""


@dataclass(frozen=True)
class Agent:
    """A monitoring agent with a template. ``variables`` hold its key in the file on each host."""

    id: str
    title: str
    variables: tuple[str, ...] = ()
    retired: str = ""
    explain: str = ""

    @property
    def unit(self) -> str:
        """Its fleet unit, which is also the name of its template."""
        return f"deiswizard-{self.id}.service"

    @property
    def container(self) -> str:
        """The name of its container on every host."""
        return f"deiswizard-{self.id}"

    @property
    def file(self) -> str:
        """Where its key is on every host; empty when it needs none."""
        return f"{FOLDER}/{self.id}.env" if self.variables else ""

    def environment(self, secret: str) -> str:
        """The content of that file, the key as the place of the secret of that name."""
        return "".join(f"{name}=${{secret:{secret}}}\n" for name in self.variables)


AGENTS = {
    agent.id: agent
    for agent in (
        Agent(
            "cadvisor",
            "cAdvisor",
            retired="google/cadvisor",
            explain="Shows what each container uses, on port 8080 of every host. It asks nobody for a "
            "login, so it is bound to the private address unless you say otherwise.",
        ),
        Agent(
            "datadog",
            "Datadog",
            ("API_KEY", "DD_API_KEY"),
            retired="datadog/docker-dd-agent",
            explain="Reports every host and container to Datadog. It runs privileged.",
        ),
        Agent(
            "newrelic",
            "New Relic",
            ("NRSYSMOND_license_key",),
            explain="Reports every host to New Relic. It runs privileged, in the host's network.",
        ),
        Agent(
            "sematext",
            "Sematext (SPM)",
            ("SPM_TOKEN",),
            explain="Reports every host and container to Sematext. The Deis documentation keeps its "
            "token in etcd (/SPM_TOKEN), where every app can read it; here it stands in a file on each "
            "host.",
        ),
    )
}


def template(unit: str) -> str:
    """A unit of ours before its words are put in."""
    assets = resources.files("deiswizard.assets")
    return assets.joinpath("units", unit).read_text(encoding="utf-8")


def agent_unit(agent: Agent, choices: LoggingChoices) -> str:
    """An agent's unit file. Raises PreconditionError when its image is no image name."""
    image = choices.image(agent.id)
    if not preseed_fleet.is_safe(image):
        raise PreconditionError(
            f"{agent.title}: {image!r} is not an image name, so it is not put into a fleet unit",
            state="nothing was changed",
            do="write it as repository:tag",
        )
    listen = PRIVATE if choices.cadvisor_listen == "private" else ""
    return template(agent.unit).replace("@IMAGE@", image).replace("@LISTEN@", listen)


def forwarder_unit(choices: LoggingChoices) -> str:
    """The unit that sends each host's journal. Raises PreconditionError without a receiver."""
    to = parse_receiver(choices.forward_to)
    if to is None:
        raise PreconditionError("the receiver of the journal is not host:port")
    text = template(FORWARDER).replace("@SHOWN@", to.shown)
    options = "--ssl " if choices.forward == "tls" else ""
    return (
        text.replace("@OPTIONS@", options)
        .replace("@HOST@", to.host)
        .replace("@PORT@", str(to.port))
    )


def own_unit_name(path: str) -> str:
    """The unit's name in fleet: ours by its prefix, the rest from the file's name; empty: unusable."""
    name = path.replace("\\", "/").rpartition("/")[2]
    return f"{OWN_PREFIX}{name}" if OWN_NAME.fullmatch(name) else ""


def wanted_units(snapshot: Snapshot, choices: LoggingChoices) -> dict[str, str]:
    """Unit name to file, of all that shall run; the operator's own that are there stay.

    Raises:
        PreconditionError: a word may not stand in a unit.
    """
    found = {}
    if choices.forward != "off":
        found[FORWARDER] = forwarder_unit(choices)
    for name in choices.agents:
        if name == "own":
            found |= {unit.name: unit.content for unit in own_units(snapshot)}
            if choices.own_unit:
                found[own_unit_name(choices.own_unit)] = choices.own_unit_text or ""
        else:
            found[AGENTS[name].unit] = agent_unit(AGENTS[name], choices)
    return found


def is_ours(unit: str) -> bool:
    """Whether this recommendation submits and removes a unit of that name."""
    return unit in {FORWARDER, *(agent.unit for agent in AGENTS.values())} or unit.startswith(
        OWN_PREFIX
    )


def our_units(snapshot: Snapshot) -> tuple[Unit, ...]:
    """Those that are there now."""
    return tuple(unit for unit in snapshot.units if is_ours(unit.name))


def own_units(snapshot: Snapshot) -> tuple[Unit, ...]:
    """The operator's own that were submitted here."""
    return tuple(unit for unit in our_units(snapshot) if unit.name.startswith(OWN_PREFIX))


def watching_units(snapshot: Snapshot) -> tuple[Unit, ...]:
    """Every global unit that is neither Deis's, nor an app's, nor the preseed: agents, forwarders."""
    return tuple(
        unit
        for unit in snapshot.units
        if unit.is_global
        and not unit.name.startswith("deis-")
        and not app_of(unit.name)
        and unit.name != preseed_fleet.UNIT
    )


def is_forwarder(unit: Unit) -> bool:
    """Ours, or the one of the Deis documentation."""
    return unit.name in (FORWARDER, "log-forwarder.service")


def eligible_hosts(snapshot: Snapshot, unit: Unit) -> tuple[HostFacts, ...]:
    """Where fleet runs a global unit."""
    wanted = pairs_of(unit.machine_metadata)
    return tuple(host for host in snapshot.hosts if fits(host.metadata, wanted))


def row_of(snapshot: Snapshot, unit: str, host: HostFacts) -> UnitState | None:
    """What a host's fleet reports of a unit."""
    rows = (s for s in snapshot.unit_states if s.unit == unit)
    return next((row for row in rows if row.machine_id == host.machine_id), None)


def how(row: UnitState | None) -> str:
    """A row in words."""
    return f"{row.active}/{row.sub}" if row else "fleet tells nothing of it"


def runs(row: UnitState | None) -> bool:
    """Running now, not ended or about to be started again."""
    return row is not None and (row.active, row.sub) == ("active", "running")


def option_values(content: str, name: str) -> tuple[str, ...]:
    """The values of an option in a unit file, continued lines joined."""
    return tuple(CONTINUED.sub(" ", o.value) for o in options_of(content) if o.name == name)


def image_in(content: str) -> str:
    """The image that one of our units runs: the last word of its command."""
    return next(
        iter([value.split()[-1] for value in option_values(content, "ExecStart") if value]), ""
    )


def receiver_in(content: str) -> tuple[str, bool]:
    """Where our forwarder sends to, and whether with TLS."""
    for value in option_values(content, "ExecStart"):
        if match := re.search(r"ncat (--ssl )?(\S+) (\d+)", value):
            host = f"[{match[2]}]" if ":" in match[2] else match[2]
            return f"{host}:{match[3]}", bool(match[1])
    return "", False


def containers_in(content: str) -> tuple[str, ...]:
    """The names of the containers that a unit file runs."""
    commands = [*option_values(content, "ExecStart"), *option_values(content, "ExecStartPre")]
    return tuple(dict.fromkeys(n for c in commands if " run " in c for n in CONTAINER.findall(c)))


def bad_tags(names: Sequence[str]) -> tuple[str, ...]:
    """Container names that logger cannot read: the first line of one stops all logging.

    An app's container (``go_v2.web.1``) is known to logspout by its form.
    """
    app = re.compile(r"[a-z0-9-]+_v[0-9]+\.[a-z-_]+\.[0-9]+")
    return tuple(n for n in names if not TAG.fullmatch(n) and not app.fullmatch(n))
