"""Everything that one probe found. Immutable, and the only source of truth about the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from pydantic import Field, SecretStr

from deiswizard.backup.data import Place
from deiswizard.cluster.web import WebAnswer, WebRequest
from deiswizard.frozen import Frozen
from deiswizard.vocabulary import JobWay


class Evidence(Frozen):
    """Where a fact comes from: a host, a command or key or URL, and what it said."""

    source: str
    host: str = ""
    said: str = ""


class Trouble(Frozen):
    """Something that the probe could not read, or read as broken. A finding, not an end."""

    what: str
    evidence: Evidence
    do: str = ""


class Disk(Frozen):
    """Room on the file system that holds Docker's data, in bytes."""

    path: str
    size: int
    free: int


class Image(Frozen):
    """An image in a host's local store. ``size`` in bytes."""

    id: str
    tags: tuple[str, ...]
    size: int = 0


class Versions(Frozen):
    """Versions found on a host; None where the program did not answer."""

    docker: str | None = None
    docker_api: str | None = None
    etcd: str | None = None
    fleet: str | None = None
    systemd: str | None = None
    deisctl: str | None = None


class HostFacts(Frozen):
    """One machine of fleet's registry, and what was read on it over SSH.

    ``name`` is unique in the snapshot and is what plans and screens use: the host's own name, or
    its address where two hosts share a name. ``address`` is fleet's PublicIP (on Deis the private
    address). ``images`` is None when the Docker engine could not be asked. ``script_images`` maps
    a component to the image name that the host's own ``/run/deis/bin/get_image`` answers. ``job_way``
    is how a long command can be kept going there.
    """

    name: str
    machine_id: str
    address: str
    metadata: tuple[tuple[str, str], ...] = ()
    reachable: bool = True
    trouble: Trouble | None = None
    os_release: str = ""
    deis_release: str | None = None
    boot_id: str = ""
    disk: Disk | None = None
    versions: Versions = Versions()
    images: tuple[Image, ...] | None = None
    job_way: JobWay = JobWay.UNIT
    has_preseed_script: bool = False
    script_images: tuple[tuple[str, str], ...] = ()

    @cached_property
    def tags(self) -> frozenset[str]:
        """Every tag in the local store, as ``repository:tag``."""
        return frozenset(tag for image in self.images or () for tag in image.tags)

    def has_image(self, name: str) -> bool:
        """Whether ``name`` (``repository:tag``; ``docker.io/`` and a missing tag are understood) is there."""
        from deiswizard.cluster.image_names import normalised

        wanted = normalised(name)
        return any(normalised(tag) == wanted for tag in self.tags)


class KeyFact(Frozen):
    """One etcd key. The value of a secret key is only in ``secret``, which JSON leaves out.

    ``index`` is etcd's modifiedIndex. ``ttl`` in seconds, None when the key does not expire.
    """

    key: str
    value: str | None = None
    secret: SecretStr | None = Field(default=None, exclude=True, repr=False)
    is_secret: bool = False
    index: int = 0
    ttl: int | None = None

    @property
    def text(self) -> str:
        """The value, secret or not; empty when a secret was left out by JSON."""
        if self.secret is not None:
            return self.secret.get_secret_value()
        return self.value or ""


class Member(Frozen):
    """An etcd member. ``healthy`` is None when it could not be asked."""

    id: str
    name: str
    peer_urls: tuple[str, ...] = ()
    client_urls: tuple[str, ...] = ()
    healthy: bool | None = None
    is_leader: bool = False

    @property
    def is_started(self) -> bool:
        """A member that was added but never ran has no name."""
        return bool(self.name)


class EtcdFacts(Frozen):
    """The etcd cluster as seen from the first host that answers. ``index`` is X-Etcd-Index."""

    version: str | None = None
    members: tuple[Member, ...] = ()
    leader: str | None = None
    healthy: bool | None = None
    index: int = 0
    via: str = ""


class Lock(Frozen):
    """Who runs something on the cluster now, as the lock's key in etcd says.

    ``owner`` is ``user@machine``; ``since`` in seconds since the epoch, by the owner's clock;
    ``doing`` the plan and the stage; ``token`` tells this lock from any other (it is no secret).
    ``expires`` in seconds from the reading; None: it does not end by itself.
    """

    owner: str
    run: str
    since: float | None
    doing: str = ""
    wizard: str = ""
    token: str
    expires: int | None = None


class Unit(Frozen):
    """A fleet unit: where fleet wants it, and its options that decide where it may run.

    ``index`` is the modifiedIndex of its job in etcd. ``content`` is its file, read only of units
    that this wizard submits, and of Deis's own that hold no secret.
    """

    name: str
    is_global: bool = False
    desired: str = ""
    machine_metadata: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    index: int = 0
    content: str = ""


class UnitState(Frozen):
    """What a machine reports of a unit."""

    unit: str
    machine_id: str
    load: str
    active: str
    sub: str

    @property
    def is_running(self) -> bool:
        """Active and running, as fleet reports it."""
        return self.active == "active" and self.sub in ("running", "exited")


class Question(Frozen):
    """A read-only command that a recommendation wants asked on one host during the probe.

    ``id`` is unique per host. The answer lands in the snapshot under the same id. With ``web`` a
    service is asked as its clients would, with ``tries`` ports are tried (an empty host: from this
    machine); then ``command`` only says what equals it.
    """

    id: str
    host: str
    command: str
    sudo: bool = False
    timeout: float = 15.0
    web: WebRequest | None = None
    tries: tuple[tuple[str, int], ...] = ()


def web_question(id: str, request: WebRequest) -> Question:
    """The question that asks a service of a host as its clients would."""
    return Question(id=id, host=request.host, command=request.shown, web=request)


class Answer(Frozen):
    """What a question got. ``code`` None: the host did not answer in time or the link broke.

    Of a ``web`` question: 0 when there was an HTTP answer, whatever it said.
    """

    id: str
    host: str
    command: str
    code: int | None
    out: str = ""
    err: str = ""
    web: WebAnswer | None = None

    @property
    def evidence(self) -> Evidence:
        """The answer as evidence for a finding."""
        said = self.web.summary if self.web else (self.out or self.err).strip()
        return Evidence(source=self.command, host=self.host, said=said)


class BackupFact(Frozen):
    """A verified backup as this machine remembers it. ``verified_at`` in seconds since the epoch.

    ``is_there`` None: it was not looked for (a bucket).
    """

    backup: str
    cluster: str
    machines: tuple[str, ...] = ()
    place: Place
    verified_at: float
    bytes: int = 0
    parts: tuple[str, ...] = ()
    sealed: str = "none"
    is_there: bool | None = None


class Snapshot(Frozen):
    """One look at the cluster. ``taken_at`` in seconds since the epoch. ``lock`` None: it is free.

    ``backups`` are the verified ones that this machine knows of, the newest first. ``login`` are the
    words of a command line that reach the same cluster.
    """

    version: Literal[1] = 1
    taken_at: float
    cluster: str
    via: str
    hosts: tuple[HostFacts, ...] = ()
    etcd: EtcdFacts = EtcdFacts()
    keys: tuple[KeyFact, ...] = ()
    keys_read: bool = True
    lock: Lock | None = None
    lock_read: bool = True
    units: tuple[Unit, ...] = ()
    unit_states: tuple[UnitState, ...] = ()
    answers: tuple[Answer, ...] = ()
    backups: tuple[BackupFact, ...] = ()
    login: tuple[str, ...] = ()
    troubles: tuple[Trouble, ...] = ()

    @cached_property
    def _keys_by_path(self) -> dict[str, KeyFact]:
        return {fact.key: fact for fact in self.keys}

    def key(self, path: str) -> KeyFact | None:
        """The key at ``path`` (``/deis/controller/registrationMode``), or None when absent."""
        return self._keys_by_path.get(path)

    def value(self, path: str, default: str = "") -> str:
        """The value of a key that is not secret, or ``default`` when absent."""
        fact = self._keys_by_path.get(path)
        return default if fact is None or fact.value is None else fact.value

    def host(self, name: str) -> HostFacts | None:
        """The host of that name."""
        return next((host for host in self.hosts if host.name == name), None)

    def unit(self, name: str) -> Unit | None:
        """The fleet unit of exactly that name."""
        return next((unit for unit in self.units if unit.name == name), None)

    def host_of_machine(self, machine_id: str) -> HostFacts | None:
        """The host whose machine id is exactly ``machine_id`` (ids share substrings)."""
        return next((host for host in self.hosts if host.machine_id == machine_id), None)

    def where(self, unit: str) -> tuple[HostFacts, ...]:
        """Hosts on which ``unit`` (``deis-database.service``) is running."""
        running = {s.machine_id for s in self.unit_states if s.unit == unit and s.is_running}
        return tuple(host for host in self.hosts if host.machine_id in running)

    def where_any(self, name: str) -> tuple[HostFacts, ...]:
        """Hosts on which ``name`` (``deis-router``) is running, whichever instance."""
        units = {
            s.unit for s in self.unit_states if s.unit.partition(".")[0].partition("@")[0] == name
        }
        found = {host.name for unit in units for host in self.where(unit)}
        return tuple(host for host in self.hosts if host.name in found)

    def answer(self, question_id: str, host: str = "") -> Answer | None:
        """The answer to a question, on ``host`` or on whichever host was asked."""
        return next((a for a in self.answers if a.id == question_id and host in ("", a.host)), None)

    @property
    def reachable_hosts(self) -> tuple[HostFacts, ...]:
        """Hosts that answered over SSH."""
        return tuple(host for host in self.hosts if host.reachable)

    def is_of(self, cluster: str, machines: Sequence[str]) -> bool:
        """Whether it shows the cluster of that name and those machine ids.

        The machines decide where both sides know any: a cluster is called by an address, and has
        more than one.
        """
        here = {host.machine_id for host in self.hosts if host.machine_id}
        return not here.isdisjoint(machines) if here and machines else cluster == self.cluster

    def age(self, now: float) -> float:
        """Seconds since the look, for a clock reading ``now``."""
        return max(0.0, now - self.taken_at)
