"""Steps that change who is a member of etcd. Their outcome is looked up, never assumed."""

from __future__ import annotations

import shlex
from typing import Literal

from deiswizard.plan.etcd_stands import EtcdPeer
from deiswizard.plan.step_base import StepBase


class _MemberStep(StepBase):
    """``others`` are exactly the members beside ``peer`` that the plan expects: with another list
    nothing is sent.
    """

    peer: EtcdPeer
    others: tuple[EtcdPeer, ...]


class RemoveMemberStep(_MemberStep):
    """A voter taken from the list, for good: its data can never join again.

    Without an id in ``peer`` it is whichever has its peer URL: one that joined by this plan.
    ``is_gone``: it leaves because it is dead; one that is found alive is not removed.
    """

    kind: Literal["remove-member"] = "remove-member"
    is_gone: bool = False


class AddMemberStep(_MemberStep):
    """A voter put on the list. It counts at once; the next step must start it.

    ``former`` is the id that a host had before it was removed: while that is still listed, nothing
    was removed, and nothing is added.
    """

    kind: Literal["add-member"] = "add-member"
    name: str
    former: str = ""


def shown_member(step: RemoveMemberStep | AddMemberStep) -> str:
    """The etcdctl that does the same."""
    if isinstance(step, AddMemberStep):
        return f"etcdctl member add {shlex.quote(step.name)} {shlex.quote(step.peer.peer_url)}"
    if step.peer.id:
        return f"etcdctl member remove {step.peer.id}"
    url = shlex.quote(f"peerURLs={step.peer.peer_url}")
    found = f"etcdctl member list | grep -wF {url} | grep -o '^[0-9a-f]*'"
    return f"{found} | xargs etcdctl member remove"
