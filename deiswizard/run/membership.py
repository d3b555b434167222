"""etcd's members in a run: looked at on their own hosts, and changed one at a time.

etcd's answers are worth little here (deis-facts 14): what timed out may be applied later, a 500 says
the same for "no majority" and for "too soon after another join". So a majority is asked before
anything is sent and after every answer that is not plain, and then the list is read.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from deiswizard.cluster import etcd_host
from deiswizard.cluster.access import EtcdAccess
from deiswizard.cluster.etcd import MemberError
from deiswizard.cluster.etcd_host import EtcdHost
from deiswizard.cluster.snapshot import Member
from deiswizard.errors import (
    CancelledError,
    LinkError,
    PlanStaleError,
    ServiceError,
    StepError,
    WizardError,
)
from deiswizard.plan.conditions import NoMember
from deiswizard.plan.etcd_stands import EtcdStands, why_not, why_not_as_planned, why_unhealthy
from deiswizard.plan.etcd_steps import AddMemberStep, RemoveMemberStep
from deiswizard.run.context import Context, Result
from deiswizard.run.events import MemberAdded, MemberRemoved, MembersSeen, WaitPolled
from deiswizard.run.settling import SETTLE_PAUSE, SETTLE_SECONDS
from deiswizard.run.state import StepState
from deiswizard.vocabulary import StepStatus

ASKED_KEY = "/deiswizard"
"""Read with a majority to know that there is one; whether it exists does not matter."""

JOIN_SECONDS = 10.0
"""How long a 500 is asked again: etcd refuses within 5 s of another join or start (lab.md 1)."""

JOIN_PAUSE = 1.0
HOST_SECONDS = 30.0

LOST = "etcd has lost its quorum: a write hangs for 7 s and is refused, so nothing more is changed"
MEND = "bring the members that are down back first; deiswizard check says which"

MemberStep = AddMemberStep | RemoveMemberStep


def ask_hosts(context: Context, names: Sequence[str]) -> dict[str, EtcdHost]:
    """What etcd is on each of these hosts; one that cannot be asked says so."""

    def ask(name: str) -> EtcdHost:
        question = etcd_host.command()
        try:
            said = context.access.host(name).run(question, sudo=True, timeout=HOST_SECONDS)
        except CancelledError:
            raise
        except WizardError:
            return EtcdHost(host=name, is_asked=False)
        if said.code is None:
            return EtcdHost(host=name, is_asked=False)
        return etcd_host.parse(name, question, said.out)

    with ThreadPoolExecutor(max(1, len(names)), "etcd-host") as pool:
        return {found.host: found for found in pool.map(ask, names)}


def etcd_stands(condition: EtcdStands, context: Context) -> tuple[bool, str]:
    """Whether etcd stands as the condition wants it, and what does not. Tells what was seen.

    Raises:
        WizardError: etcd could not be asked.
    """
    try:
        said = _why_not_now(condition, context)
    except _LostError as error:
        return False, str(error)
    return not said, said


def _why_not_now(condition: EtcdStands, context: Context) -> str:
    """What keeps the condition from holding, by a look at etcd and at the hosts; empty: it holds.

    Raises:
        WizardError: it could not be looked at; _LostError, because no majority answers.
    """
    etcd = context.access.etcd()
    with_majority(etcd)
    # only who is to be gone is asked by its port, too: of all others their own hosts tell more
    members = etcd.facts().members if condition.is_gone else etcd.members()
    peers = [*condition.others, *([condition.target] if condition.target else [])]
    names = dict.fromkeys([*(peer.host for peer in peers), condition.ready, *condition.also])
    hosts = ask_hosts(context, [name for name in names if name])
    by_url = {peer.peer_url: peer.host for peer in peers}

    def healthy(member: Member) -> bool:
        host = next((by_url[url] for url in member.peer_urls if url in by_url), "")
        return not why_unhealthy(member, hosts.get(host))

    context.emit(
        MembersSeen(
            at=context.clock(),
            members=tuple(m.model_copy(update={"healthy": healthy(m)}) for m in members),
            hosts=tuple(hosts.values()),
        )
    )
    return why_not(condition, members, hosts)


def no_member(condition: NoMember, context: Context) -> tuple[bool, str]:
    """Whether nobody is listed with that peer URL; who is, if there is one.

    Raises:
        WizardError: etcd could not be asked, or has no majority.
    """
    etcd = context.access.etcd()
    with_majority(etcd)
    listed = [member.id for member in etcd.members() if condition.peer_url in member.peer_urls]
    said = f"{', '.join(listed)} has become a member with {condition.peer_url}" if listed else ""
    return not listed, said or f"{condition.peer_url} is no member's"


class _LostError(ServiceError):
    """No majority of etcd's members answers."""


def with_majority(etcd: EtcdAccess) -> None:
    """A read that goes through etcd's log: after it, whatever was decided before is in the list.

    Raises:
        ServiceError: no majority answers.
    """
    try:
        etcd.get(ASKED_KEY, quorum=True)
    except ServiceError as error:
        if not error.is_outcome_unknown and not _is_lost(error):
            return  # an answer, if not a plain one: there is a majority
        raise _LostError(LOST, said=str(error), state=error.state, do=MEND) from error


def _is_lost(error: ServiceError) -> bool:
    return getattr(error, "code", None) == 300 or not hasattr(error, "code")


def is_applied(step: MemberStep, members: Sequence[Member]) -> bool:
    """The list says that it has been done."""
    if isinstance(step, AddMemberStep):
        return any(step.peer.peer_url in member.peer_urls for member in members)
    return not any(_is_meant(step, member) for member in members)


def _is_meant(step: RemoveMemberStep, member: Member) -> bool:
    return step.peer.id == member.id if step.peer.id else step.peer.peer_url in member.peer_urls


def change_members(step: MemberStep, context: Context, before: StepState) -> Result:
    """Add or remove one member, and look what became of it.

    The guard is asked once more right before each request that is sent: seconds have passed, or days.
    While the hosts cannot be asked nothing is sent.

    Raises:
        PlanStaleError: somebody else changes the members.
        StepError: the members are not fit for the change.
        ServiceError, LinkError: nothing was sent.
        CancelledError: stopped before it was known.
    """
    is_sent = before.attempt > 0
    began = time.monotonic()
    problem: WizardError | None = None
    is_lost = False
    while True:
        try:
            etcd = context.access.etcd()
            with_majority(etcd)
            members = etcd.members()
        except (LinkError, ServiceError) as error:
            if not is_sent:
                raise _nothing_sent(error) from error
            is_lost, problem = True, error
            if time.monotonic() - began > SETTLE_SECONDS:
                return Result(StepStatus.UNKNOWN, f"{error}; {_doubt(step)}", error.do)
            _wait(step, context, f"{error}; {_doubt(step)}, looking again", SETTLE_PAUSE, is_sent)
            continue
        if is_applied(step, members):
            return _done(step, context, members, was_sent=is_sent)
        if said := why_not_as_planned(members, step.others, step.peer):
            context.emit(MembersSeen(at=context.clock(), members=members))
            raise PlanStaleError((said,))
        if is_lost:
            return Result(
                StepStatus.FAILED,
                f"etcd had lost its quorum meanwhile, and has one again; nothing was changed ({problem})",
                "see why members were away, then try again",
            )
        if problem is not None and time.monotonic() - began > JOIN_SECONDS:
            return Result(StepStatus.FAILED, f"{problem}, for {JOIN_SECONDS:.0f} s", MEND)
        try:
            said = _why_unfit(step, context)
        except (LinkError, ServiceError) as error:
            if not is_sent:
                raise _nothing_sent(error) from error
            problem = error
            _wait(step, context, f"{error}; looking again", JOIN_PAUSE, is_sent)
            continue
        if said:
            raise StepError(
                f"the members are not fit for this change: {said}",
                state="etcd's list is as it was before this try",
                do=MEND,
            )
        is_sent = True
        try:
            _send(step, etcd, members)
            problem = None
        except MemberError as error:
            if error.status in (400, 403):
                raise
            problem = error
            _wait(step, context, f"{error}; asking again", JOIN_PAUSE, is_sent)
        except (LinkError, ServiceError) as error:
            problem = error
            _wait(step, context, f"{error}; {_doubt(step)}, looking", JOIN_PAUSE, is_sent)


def _nothing_sent(error: WizardError) -> ServiceError:
    return ServiceError(str(error), state="nothing was asked of etcd by this step", do=error.do)


def _why_unfit(step: MemberStep, context: Context) -> str:
    """What the guard has against this change now; empty: nothing."""
    is_add = isinstance(step, AddMemberStep)
    return _why_not_now(
        EtcdStands(
            others=step.others,
            target=step.peer,
            change="add" if is_add else "remove",
            ready=step.peer.host if is_add else "",
            is_gone=isinstance(step, RemoveMemberStep) and step.is_gone,
        ),
        context,
    )


def _send(step: MemberStep, etcd: EtcdAccess, members: Sequence[Member]) -> None:
    if isinstance(step, AddMemberStep):
        etcd.add_member(step.peer.peer_url)
        return
    for member in members:
        if _is_meant(step, member):
            etcd.remove_member(member.id)


def _done(
    step: MemberStep, context: Context, members: Sequence[Member], *, was_sent: bool
) -> Result:
    now = context.clock()
    if isinstance(step, RemoveMemberStep):
        context.emit(
            MemberRemoved(
                at=now,
                step=step.id,
                member=step.peer.id,
                host=step.peer.host,
                url=step.peer.peer_url,
            )
        )
        words = "it is no member any more" if was_sent else "it was no member any more already"
        return Result(StepStatus.DONE, words)
    member = next(m for m in members if step.peer.peer_url in m.peer_urls)
    if step.former and member.id == step.former:
        return Result(StepStatus.DONE, f"{member.id} was never removed: nothing to add")
    context.emit(
        MemberAdded(
            at=now, step=step.id, member=member.id, host=step.peer.host, url=step.peer.peer_url
        )
    )
    return Result(StepStatus.DONE, f"{member.id}" + ("" if was_sent else " was there already"))


def _doubt(step: MemberStep) -> str:
    verb = "added" if isinstance(step, AddMemberStep) else "removed"
    return f"whether {step.peer.host or step.peer.peer_url} was {verb} is not known"


def _wait(step: MemberStep, context: Context, said: str, pause: float, is_sent: bool) -> None:
    context.emit(WaitPolled(at=context.clock(), step=step.id, said=said))
    if context.interrupted.wait(pause):
        state = "it may still be applied" if is_sent else "nothing was sent"
        raise CancelledError(f"stopped before it was known: {_doubt(step)}", state=state)
