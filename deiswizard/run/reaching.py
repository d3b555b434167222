"""Whether conditions about who reaches whom hold now."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from deiswizard.errors import HostKeyError, LinkError, LoginError
from deiswizard.plan.reach_conditions import AnyReach, ClusterWhole, FreshLogin, PortsTake
from deiswizard.run.context import Context
from deiswizard.wording import few

HOSTS_AT_ONCE = 32


def reach_holds(condition: AnyReach, context: Context) -> tuple[bool | None, str]:
    """Whether it holds (None: it could not be asked), and what was seen."""
    match condition:
        case FreshLogin():
            return _fresh_login(condition, context)
        case PortsTake():
            return _ports_take(condition, context)
        case ClusterWhole():
            return _cluster_whole(condition, context)


def _fresh_login(condition: FreshLogin, context: Context) -> tuple[bool, str]:
    try:
        context.access.host(condition.host).log_in_again()
    except (LinkError, HostKeyError, LoginError) as error:
        return False, f"no new login on {condition.host}: {error}"
    return True, f"a new login on {condition.host} works"


def _ports_take(condition: PortsTake, context: Context) -> tuple[bool, str]:
    with ThreadPoolExecutor(HOSTS_AT_ONCE, "tries") as pool:
        tried = list(
            pool.map(lambda host: context.access.try_ports(host, condition.places), condition.hosts)
        )
    if tried == [None]:
        return True, "not to be tried from this machine: it reaches the hosts through the first one"
    wrong = [
        f"{address}:{port} from {host or 'here'}"
        for host, found in zip(condition.hosts, tried, strict=True)
        for (address, port), is_open in zip(condition.places, found or (), strict=found is not None)
        if is_open != condition.open
    ]
    if not wrong:
        count = sum(len(found or ()) for found in tried)
        return True, f"{count} tried, all {'open' if condition.open else 'closed'}"
    state = "closed" if condition.open else "open"
    return False, f"{state}: {few(wrong)}"


def _cluster_whole(condition: ClusterWhole, context: Context) -> tuple[bool, str]:
    members = context.access.etcd().facts().members
    healthy = sum(member.healthy is True for member in members)
    there = context.access.machine_ids()
    missing = set(condition.machines) - there
    joined = there - set(condition.known) if condition.known else set()
    saw = f"{healthy} of {condition.members} etcd members healthy"
    if missing:
        return False, f"{saw}; fleet lacks {', '.join(sorted(name[:8] for name in missing))}"
    if joined:
        names = ", ".join(sorted(name[:8] for name in joined))
        return (
            False,
            f"{saw}; fleet sees {names} since, a host that nobody has named: make a new plan",
        )
    return (
        healthy == condition.members == len(members),
        f"{saw}, fleet sees {len(condition.machines)} machines",
    )
