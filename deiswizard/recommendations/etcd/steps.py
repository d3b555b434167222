"""The steps of which the stages of Isolating etcd are made."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from deiswizard.cluster.etcd_host import DROP_IN, ETCD_SHUTDOWN
from deiswizard.cluster.snapshot import Member
from deiswizard.plan.conditions import CommandSays, NoMember
from deiswizard.plan.etcd_stands import EtcdPeer, EtcdStands
from deiswizard.plan.etcd_steps import AddMemberStep, RemoveMemberStep
from deiswizard.plan.step import CommandStep, GuardStep, UploadStep, WaitStep
from deiswizard.recommendations.etcd import commands
from deiswizard.recommendations.etcd.facts import Node
from deiswizard.vocabulary import Danger

FOLDER = DROP_IN.rpartition("/")[0]
WAIT_SECONDS = 90.0
"""A proxy serves within 2 s; its list of members follows changes every 30 s (deis-facts 14)."""

OTHERWISE = (
    "nothing was changed by this stage. Mend what is named (deiswizard check shows every member by its "
    "own host), then try again"
)


@dataclass(frozen=True)
class Peers:
    """Who is a member at one moment of a plan: everyone beside the host that changes.

    ``names`` are all members' names by peer URL; ``stamp`` is in the names of what is moved aside.
    """

    others: tuple[EtcdPeer, ...]
    names: dict[str, str]
    stamp: str
    staying: tuple[Member, ...] = ()

    def cluster(self, *more: EtcdPeer) -> tuple[tuple[str, str], ...]:
        """Names and peer URLs of the others and of these."""
        return commands.names_of((*self.others, *more), self.names)


def aside(node: Node, peers: Peers) -> str:
    """Where this host's data goes."""
    return commands.aside(node.etcd, peers.stamp)


def guard(node: Node, peers: Peers, peer: EtcdPeer, change: str) -> GuardStep:
    """Stops the stage unless every member is as planned and healthy, and a quorum stays.

    Once its change is done it is not asked again: the hosts that follow change who is a member, too.
    """
    ready = node.name if change == "add" else ""
    return GuardStep(
        id=f"guard:{node.name}",
        title="members as planned, each healthy by its own host, quorum after this change",
        host=node.name,
        timeout=60,
        condition=EtcdStands.model_validate(
            {"others": peers.others, "target": peer, "change": change, "ready": ready}
        ),
        otherwise=OTHERWISE,
        until=(f"{change}:{node.name}",),
    )


def folder(node: Node) -> CommandStep:
    """Where the drop-in stands."""
    return CommandStep(
        id=f"folder:{node.name}",
        title="a folder for drop-ins",
        host=node.name,
        command=f"mkdir -p {FOLDER}",
        sudo=True,
        is_repeatable=True,
        danger=Danger.WRITE,
        undo="it may stay: an empty folder changes nothing",
    )


def upload(node: Node, content: str, now: str | None, *, any_now: bool = False) -> UploadStep:
    """The drop-in, in the place of exactly ``now`` (None: there is none); ``any_now``: of whatever is there."""
    expect = None if any_now else hashlib.sha256(now.encode()).hexdigest() if now else ""
    return UploadStep(
        id=f"drop-in:{node.name}",
        title="etcd's variables for its next start; they change nothing before it",
        host=node.name,
        path=DROP_IN,
        content=content,
        sudo=True,
        expect=expect,
        danger=Danger.WRITE,
        undo="the file that was there, or none",
    )


def restore(node: Node) -> UploadStep | CommandStep:
    """The drop-in as it was; read at the next start."""
    if node.etcd.drop_in is not None:
        step = upload(node, node.etcd.drop_in, None, any_now=True)
        return step.model_copy(
            update={"id": f"restore:{node.name}", "title": "the drop-in as it was"}
        )
    return CommandStep(
        id=f"restore:{node.name}",
        title="without the drop-in, as before",
        host=node.name,
        command=f"rm -f {DROP_IN}; {commands.RELOAD}",
        sudo=True,
        is_repeatable=True,
        danger=Danger.WRITE,
    )


def reload(node: Node) -> CommandStep:
    """For a drop-in that counts at some later start."""
    return CommandStep(
        id=f"reload:{node.name}",
        title="systemd reads it; etcd goes on",
        host=node.name,
        command=commands.RELOAD,
        sudo=True,
        is_repeatable=True,
        danger=Danger.WRITE,
    )


def graceful_off(node: Node) -> CommandStep | None:
    """None where the unit is not enabled."""
    if not node.etcd.has_graceful:
        return None
    return CommandStep(
        id=f"graceful:{node.name}",
        title=f"{ETCD_SHUTDOWN} would remove a member at shutdown: a proxy is none",
        host=node.name,
        command=commands.DISABLE_GRACEFUL,
        sudo=True,
        is_repeatable=True,
        danger=Danger.WRITE,
        undo="enabled again",
    )


def graceful_on(node: Node) -> CommandStep:
    """The way back from ``graceful_off``."""
    return CommandStep(
        id=f"graceful-again:{node.name}",
        title=f"{ETCD_SHUTDOWN} as before",
        host=node.name,
        command=commands.ENABLE_GRACEFUL,
        sudo=True,
        is_repeatable=True,
        danger=Danger.WRITE,
        undoes=(f"graceful:{node.name}",),
    )


def remove(node: Node, peers: Peers, peer: EtcdPeer) -> RemoveMemberStep:
    """The removal itself, which looks at everything once more."""
    return RemoveMemberStep(
        id=f"remove:{node.name}",
        title=f"take {node.name} from etcd's list; its etcd ends by itself",
        host=node.name,
        peer=peer,
        others=peers.others,
        danger=Danger.RESTART,
        timeout=150,
        undo="it joins again as a new member, with fresh data",
    )


def add(node: Node, peers: Peers, peer: EtcdPeer, former: str = "") -> AddMemberStep:
    """The addition itself; ``former`` is the id that the host had before it was removed."""
    return AddMemberStep(
        id=f"add:{node.name}",
        title=f"put {node.name} on etcd's list; it is a voter from now on",
        host=node.name,
        peer=peer,
        others=peers.others,
        name=node.etcd_name,
        former=former,
        danger=Danger.RESTART,
        timeout=150,
        undo="it is taken from the list again",
    )


def switch(node: Node, command: str, title: str) -> CommandStep:
    """Etcd stops and starts as something else, in one command of the host's own."""
    return CommandStep(
        id=f"switch:{node.name}",
        title=title,
        host=node.name,
        command=command,
        sudo=True,
        is_repeatable=True,
        danger=Danger.RESTART,
        timeout=120,
        undo="the data that was moved aside stays there",
    )


def out(node: Node) -> GuardStep:
    """Right before a host's data is moved aside to make it a proxy: nobody has made it a member again."""
    return GuardStep(
        id=f"out:{node.name}",
        title=f"{node.name} is not on etcd's list",
        host=node.name,
        condition=NoMember(peer_url=node.peer_url),
        otherwise=(
            f"somebody has made {node.name} a member again: its data stays, nothing was moved. Look again and "
            "make a new plan"
        ),
        until=(f"switch:{node.name}",),
    )


def wait_proxy(node: Node, peers: Peers) -> WaitStep:
    """Until the host serves as a proxy."""
    machine = node.facts.machine_id
    command = commands.serves_as_proxy(node.etcd.data_dir, machine, peers.staying)
    return serving(node, command, "a proxy")


def wait_member(node: Node) -> WaitStep:
    """Until the host serves as a member."""
    command = commands.serves_as_member(node.etcd.data_dir, node.facts.machine_id)
    return serving(node, command, "a member")


def serving(node: Node, command: str, what: str) -> WaitStep:
    """Until the host serves; it writes a key that ends by itself."""
    return WaitStep(
        id=f"works:{node.name}",
        title=f"it is {what} by its own data, and reads and writes on 2379 and 4001",
        host=node.name,
        danger=Danger.WRITE,
        condition=CommandSays(host=node.name, command=command, pattern="serves", sudo=True),
        waiting_for=f"{node.name} to serve as {what}",
        timeout=WAIT_SECONDS,
        on_timeout=f"look at etcd2 on {node.name} (journalctl -u etcd2), then try again, or take the run back",
    )


def wait_all(node: Node, members: Sequence[EtcdPeer]) -> WaitStep:
    """Until exactly these are members and healthy; the host that changed is shown, too."""
    return WaitStep(
        id=f"settled:{node.name}",
        title=f"{len(members)} members, all healthy by their own hosts",
        host=node.name,
        condition=EtcdStands(others=tuple(members), also=(node.name,)),
        waiting_for=f"a healthy {len(members)} of {len(members)}",
        timeout=WAIT_SECONDS,
        on_timeout="nothing more is changed before every member is healthy; try again, or take the run back",
    )
