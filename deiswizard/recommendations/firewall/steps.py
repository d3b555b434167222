"""The steps that change one host's packet filter: a trial that the host itself takes back unless it is proven.

Order: files; the host's iptables takes the rules; armed; in; a new login, the cluster, the neighbours; only
then kept and disarmed. Whatever happens to the wizard in between, the host is open again by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from deiswizard.plan.conditions import CommandSays
from deiswizard.plan.plan import Stage, chained
from deiswizard.plan.reach_conditions import ClusterWhole, FreshLogin, PortsTake
from deiswizard.plan.step import CommandStep, GuardStep, Step, UploadStep, WaitStep
from deiswizard.recommendations.firewall import files
from deiswizard.recommendations.planes.hosts import DETAIL, ceph_guard, ceph_says_well
from deiswizard.vocabulary import Danger

LOGIN_SECONDS = 45.0
WHOLE_SECONDS = 45.0
QUICK_SECONDS = 20.0
TAKES_BACK = (
    "nothing has to be done: the host takes the rules back by itself. See then what kept it from "
    "working, and make a new plan"
)


@dataclass(frozen=True)
class Proof:
    """What must hold with the rules in, before they are kept.

    ``outgoing`` are ports of other hosts that this one must reach, ``incoming`` its own ports that
    ``others`` must reach; ``closed`` its own that this machine may not reach. ``ceph`` is the host on which Ceph
    is asked, empty: it is not.
    """

    whole: ClusterWhole
    others: tuple[str, ...] = ()
    outgoing: tuple[tuple[str, int], ...] = ()
    incoming: tuple[tuple[str, int], ...] = ()
    closed: tuple[tuple[str, int], ...] = ()
    ceph: str = ""


@dataclass(frozen=True)
class Target:
    """A host, and the whole content of its rules files by family. ``sums`` None: whatever is there."""

    host: str
    rules: Mapping[int, str]
    proof: Proof
    seconds: int
    sums: Mapping[str, str] | None = field(default=None)

    @property
    def families(self) -> tuple[int, ...]:
        """What rules it has."""
        return tuple(sorted(self.rules))


def changing_ids(stages: tuple[Stage, ...], host: str) -> tuple[str, ...]:
    """The ids of the steps that change that host."""
    return tuple(
        step.id
        for stage in stages
        for step in stage.steps
        if step.host == host and step.danger is not Danger.READ
    )


def guards(hosts: tuple[str, ...], whole: ClusterWhole, ceph: str = "") -> Stage:
    """Before anything: new logins work everywhere, and the cluster is whole."""
    logins = (
        GuardStep(
            id=f"guard:login:{host}",
            title=f"a new login on {host} works",
            host=host,
            condition=FreshLogin(host=host),
            otherwise=f"nobody can log in anew on {host} even now, so a lock-out could not be told",
            timeout=LOGIN_SECONDS,
        )
        for host in hosts
    )
    cluster = GuardStep(
        id="guard:whole",
        title="every etcd member is healthy, and fleet sees every host",
        condition=whole,
        otherwise="the cluster is not whole now, so what the firewall breaks could not be told",
    )
    steps: list[Step] = [*logins, cluster]
    if ceph:
        why = f"Ceph is not well now, so what the firewall breaks could not be told. {DETAIL}"
        steps.append(ceph_guard(ceph, "guard:ceph", why))
    return Stage(id="guards", title="Guards", steps=tuple(steps))


def trial(target: Target, prefix: str = "on") -> Stage:
    """Put rules on one host; nothing goes on to the next one before they are proven and kept."""
    return Stage(
        id=f"{prefix}:{target.host}",
        title=f"Firewall on {target.host}",
        steps=chained(_trial(target, f"{prefix}:{target.host}")),
        is_vital=True,
    )


def _trial(target: Target, prefix: str) -> Iterator[Step]:
    host, families = target.host, target.families
    yield CommandStep(
        id=f"{prefix}:folder", title=f"a folder for the rules on {host}", host=host, sudo=True,
        command=f"mkdir -p {files.FOLDER}", danger=Danger.WRITE, undo="it is removed, unless it is used for something else",
    )  # fmt: skip
    for path, content in _contents(target).items():
        yield UploadStep(
            id=f"{prefix}:file:{path}",
            title=f"{path.rpartition('/')[2]} on {host}",
            host=host,
            path=path,
            content=content,
            sudo=True,
            expect=None if target.sums is None else target.sums.get(path, ""),
            danger=Danger.WRITE,
            undo="it is removed; rules from before are put back",
        )
    yield WaitStep(
        id=f"{prefix}:test",
        title=f"iptables on {host} takes these rules (only asked)",
        host=host,
        condition=CommandSays(
            host=host, command=files.test_command(families), pattern="taken", sudo=True
        ),
        waiting_for=f"iptables on {host} to take the rules",
        timeout=QUICK_SECONDS,
        on_timeout="nothing was changed. See what iptables says: a kernel without one of the matches?",
    )
    yield CommandStep(
        id=f"{prefix}:arm",
        title=f"{host} takes what follows back by itself after {target.seconds} s",
        host=host,
        command=files.arm_command(target.seconds),
        sudo=True,
        danger=Danger.WRITE,
        undo="it is disarmed",
    )
    yield _armed(target, prefix)
    yield CommandStep(
        id=f"{prefix}:in",
        title=f"the rules are in on {host}, first",
        host=host,
        command=files.load_command("next", families),
        sudo=True,
        danger=Danger.WRITE,
        undo="they are taken out; what others have there stays as it is",
    )
    yield from _proofs(target, prefix)
    yield GuardStep(
        id=f"{prefix}:still",
        title=f"{host} has not taken them back meanwhile",
        host=host,
        condition=CommandSays(
            host=host, command=files.in_place_command(families), pattern="^in$", sudo=True
        ),
        otherwise=f"{host} has taken the rules back by itself, as it was armed to: they were not proven "
        "in time. Make a new plan",
    )
    yield CommandStep(
        id=f"{prefix}:keep",
        title=f"kept on {host}, also over a reboot; disarmed",
        host=host,
        command=files.keep_command(families),
        sudo=True,
        danger=Danger.WRITE,
        undo="they are taken out, also from the disk",
    )
    yield WaitStep(
        id=f"{prefix}:kept",
        title=f"in place and disarmed on {host}",
        host=host,
        condition=CommandSays(
            host=host,
            command=f"{files.in_place_command(families)} && systemctl is-enabled {files.UNIT}",
            pattern="enabled",
            sudo=True,
        ),
        waiting_for=f"the rules to be kept on {host}",
        timeout=QUICK_SECONDS,
    )


def _contents(target: Target) -> dict[str, str]:
    """Every file that is put there: the rules on trial, scripts, units."""
    rules = {files.rules_path("next", family): text for family, text in target.rules.items()}
    return {**rules, **files.files(target.families)}


def _armed(target: Target, prefix: str) -> GuardStep:
    """Armed, or (in a run that is taken up again) kept already."""
    digest = hashlib.sha256(target.rules[4].encode()).hexdigest()
    return GuardStep(
        id=f"{prefix}:armed",
        title=f"{target.host} is armed to take them back",
        host=target.host,
        condition=CommandSays(
            host=target.host,
            command=f"{files.ARMED} || sha256sum {files.rules_path('now', 4)}",
            pattern=rf"^active|{digest}",
            sudo=True,
        ),
        otherwise=f"{target.host} is not armed any more: if rules were on trial, it has taken them back by "
        "itself, and is as it was before. Make a new plan",
    )


def _proofs(target: Target, prefix: str) -> Iterator[Step]:
    host, proof = target.host, target.proof
    yield WaitStep(
        id=f"{prefix}:login",
        title=f"a new login on {host} works",
        host=host,
        condition=FreshLogin(host=host),
        waiting_for=f"a new login on {host}",
        timeout=LOGIN_SECONDS,
        on_timeout=f"with these rules nobody can log in on {host}; {TAKES_BACK}",
    )
    asked = [
        ("reaches", f"{host} reaches the others", (host,), proof.outgoing, True),
        ("reached", f"the others reach {host}", proof.others, proof.incoming, True),
        ("closed", f"{host} is closed to this machine but for what is open to all", ("",),
         proof.closed, False),
    ]  # fmt: skip
    for name, title, hosts, places, is_open in asked:
        if hosts and places:
            yield WaitStep(
                id=f"{prefix}:{name}",
                title=title,
                host=host,
                condition=PortsTake(hosts=hosts, places=places, open=is_open),
                waiting_for=f"this to be so: {title},",
                timeout=QUICK_SECONDS,
                on_timeout=TAKES_BACK,
            )
    yield WaitStep(
        id=f"{prefix}:whole",
        title="every etcd member is healthy, and fleet sees every host",
        host=host,
        condition=proof.whole,
        waiting_for="etcd and fleet to be well",
        timeout=WHOLE_SECONDS,
        on_timeout=TAKES_BACK,
    )
    if proof.ceph:
        yield WaitStep(
            id=f"{prefix}:ceph",
            title="Ceph is well",
            host=host,
            condition=ceph_says_well(proof.ceph),
            waiting_for="Ceph to say HEALTH_OK",
            timeout=WHOLE_SECONDS,
            on_timeout=TAKES_BACK,
        )


def removal(host: str, families: tuple[int, ...], prefix: str = "off") -> Stage:
    """Take ours out of one host; that only opens, so nothing needs to be proven first."""
    name = f"{prefix}:{host}"
    steps: tuple[Step, ...] = (
        CommandStep(
            id=f"{name}:stop", title=f"nothing on {host} puts them in any more", host=host, sudo=True,
            command=files.stop_command(), danger=Danger.WRITE,
            undo="they are loaded at boot again, when they are kept again",
        ),
        CommandStep(
            id=f"{name}:out", title=f"the rules are out on {host}", host=host, sudo=True,
            command=files.unload_command(families), danger=Danger.WRITE,
            undo="they are put in again, on trial as at first",
        ),
        CommandStep(
            id=f"{name}:files", title=f"nothing of it stays on the disk of {host}", host=host, sudo=True,
            command=files.remove_command(), danger=Danger.WRITE,
            undo="the files are written again",
        ),
        WaitStep(
            id=f"{name}:gone",
            title=f"nothing of ours is in the packet filter of {host}",
            host=host,
            condition=CommandSays(
                host=host,
                command=" && ".join(
                    f"{files.IPTABLES[family]} -w -S | grep -c DEISWIZARD || echo none"
                    for family in families
                ),
                pattern=r"^(?:0\s+none\s*)+$",
                sudo=True,
            ),
            waiting_for=f"the packet filter of {host} to be without ours",
            timeout=QUICK_SECONDS,
        ),
    )  # fmt: skip
    return Stage(id=name, title=f"No firewall of ours on {host}", steps=chained(steps))
