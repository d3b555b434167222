"""The stages that take one host from member to proxy and from proxy to member, and each back.

Everything in a stage has the one host and needs what stands before it, so nothing runs side by side
and a step that failed stops the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

from deiswizard.plan.conditions import CommandSays, MemberListed
from deiswizard.plan.etcd_stands import EtcdPeer, EtcdStands
from deiswizard.plan.etcd_steps import RemoveMemberStep
from deiswizard.plan.plan import Stage, chained
from deiswizard.plan.step import GuardStep, Step, WaitStep
from deiswizard.recommendations.etcd import commands
from deiswizard.recommendations.etcd import steps as make
from deiswizard.recommendations.etcd.facts import Node
from deiswizard.recommendations.etcd.steps import OTHERWISE, WAIT_SECONDS, Peers
from deiswizard.vocabulary import Danger


def leave(node: Node, peers: Peers, *, title: str, target: Sequence[tuple[str, str]]) -> Stage:
    """A member becomes a proxy: taken from the list, then its data aside, then started again.

    ``target`` are the members that the proxy is told of: those that stay to the end.
    """
    name, peer = node.name, node.peer()
    steps: list[Step | None] = [
        make.guard(node, peers, peer, "remove"),
        make.folder(node),
        make.upload(node, commands.proxy_drop_in(target), node.etcd.drop_in),
        make.graceful_off(node),
        make.remove(node, peers, peer),
        make.out(node),
        make.switch(
            node,
            commands.to_proxy(node.etcd.data_dir, make.aside(node, peers)),
            f"{name} starts as a proxy",
        ),
        make.wait_proxy(node, peers),
        make.wait_all(node, peers.others),
    ]
    return Stage(id=f"proxy:{name}", title=title, steps=chained(steps), hosts_at_a_time=1)


def unleave(node: Node, peers: Peers, forward: Stage) -> Stage:
    """Back from ``leave``: a new member with a fresh data directory, unless it was never removed."""
    name, old = node.name, node.peer()
    fresh = old.model_copy(update={"id": ""})
    removed = (f"remove:{name}",)
    former = MemberListed(id=old.id)
    steps: list[Step] = [
        make.guard(node, peers, fresh, "add").model_copy(update={"undoes": removed}),
        make.upload(
            node, commands.member_drop_in(node.etcd_name, peers.cluster(fresh)), None, any_now=True
        ).model_copy(update={"id": f"join-drop-in:{name}", "undoes": removed}),
        make.add(node, peers, fresh, former=old.id).model_copy(update={"undoes": removed}),
        make.switch(
            node,
            commands.to_member(node.etcd.data_dir, make.aside(node, peers)),
            f"{name} starts as a member",
        ).model_copy(update={"undoes": removed, "unless": former}),
        make.wait_member(node).model_copy(update={"undoes": removed}),
        make.wait_all(node, (*peers.others, fresh)).model_copy(update={"undoes": removed}),
        make.restore(node).model_copy(update={"undoes": (f"drop-in:{name}",)}),
    ]
    if node.etcd.has_graceful:
        steps.append(make.graceful_on(node))
    return _back(f"member-again:{name}", f"{name} becomes a member again", steps, forward)


def join(node: Node, peers: Peers, *, title: str) -> Stage:
    """A proxy becomes a member: put on the list, then at once started with a clean folder."""
    peer = node.peer()
    steps: list[Step | None] = [
        make.guard(node, peers, peer, "add"),
        make.folder(node),
        make.upload(
            node, commands.member_drop_in(node.etcd_name, peers.cluster(peer)), node.etcd.drop_in
        ),
        make.add(node, peers, peer),
        make.switch(
            node,
            commands.to_member(node.etcd.data_dir, make.aside(node, peers)),
            f"{node.name} starts as a member",
        ),
        make.wait_member(node),
        make.wait_all(node, (*peers.others, peer)),
    ]
    return Stage(id=f"member:{node.name}", title=title, steps=chained(steps), hosts_at_a_time=1)


def unjoin(node: Node, peers: Peers, forward: Stage, *, target: Sequence[tuple[str, str]]) -> Stage:
    """Back from ``join``: taken from the list again, and a proxy of the others."""
    name, peer = node.name, node.peer()
    added, moved = (f"add:{name}",), (f"switch:{name}",)
    upload = make.upload(node, commands.proxy_drop_in(target), None, any_now=True)
    steps: list[Step] = [
        make.guard(node, peers, peer, "remove").model_copy(update={"undoes": added}),
        make.remove(node, peers, peer).model_copy(update={"undoes": added}),
        upload.model_copy(update={"id": f"proxy-drop-in:{name}", "undoes": moved}),
        make.out(node).model_copy(update={"undoes": moved}),
        make.switch(
            node,
            commands.to_proxy(node.etcd.data_dir, make.aside(node, peers)),
            f"{name} starts as a proxy",
        ).model_copy(update={"undoes": moved}),
        make.wait_proxy(node, peers).model_copy(update={"undoes": moved}),
        make.wait_all(node, peers.others).model_copy(update={"undoes": added}),
        make.restore(node).model_copy(update={"undoes": (f"drop-in:{name}",)}),
    ]
    return _back(f"proxy-again:{name}", f"{name} becomes a proxy again", steps, forward)


def only_remove(stranger: EtcdPeer, peers: Peers, *, title: str, key: str) -> Stage:
    """A dead voter is taken from the list; there is no host to change. One that lives by then is not."""
    condition = EtcdStands(others=peers.others, target=stranger, change="remove", is_gone=True)
    where = stranger.host or stranger.peer_url
    steps: list[Step] = [
        GuardStep(
            id=f"guard:{key}",
            title=f"all members beside {where} are healthy, and stay a quorum; it is not alive",
            host=peers.others[0].host,
            condition=condition,
            otherwise=OTHERWISE,
            until=(f"remove:{key}",),
        ),
        RemoveMemberStep(
            id=f"remove:{key}",
            title=f"take {where} from etcd's list",
            host=peers.others[0].host,
            danger=Danger.DESTROY,
            peer=stranger,
            others=peers.others,
            is_gone=True,
            undo="it cannot: what was removed can only join again as a new member",
        ),
    ]
    return Stage(id=f"remove:{key}", title=title, steps=chained(steps), hosts_at_a_time=1)


def repair(node: Node, peers: Peers, target: Sequence[tuple[str, str]]) -> Stage:
    """A host that is no voter becomes a proxy that serves: data of no use aside, started again.

    A proxy that knows members that are gone asks only those, whatever its variables say.
    """
    data, command = node.etcd.data_dir, commands.restart()
    if not node.is_proxy or node.is_cut_off:
        command = commands.to_proxy(data, make.aside(node, peers), forgets=node.is_cut_off)
    steps: list[Step | None] = [
        make.folder(node),
        make.upload(node, commands.proxy_drop_in(target), node.etcd.drop_in),
        make.graceful_off(node),
        make.out(node),
        make.switch(node, command, f"{node.name} starts as a read-write proxy"),
        make.wait_proxy(node, peers),
    ]
    title = f"{node.name} becomes a read-write proxy"
    return Stage(id=f"repair:{node.name}", title=title, steps=chained(steps), hosts_at_a_time=1)


def keep(nodes: Sequence[Node], target: Sequence[tuple[str, str]]) -> Stage:
    """Hosts that are proxies by accident stay proxies: a file each, nothing restarts."""
    steps: list[Step] = []
    for node in nodes:
        chain = [
            make.folder(node),
            make.upload(node, commands.proxy_drop_in(target), node.etcd.drop_in),
            make.graceful_off(node),
            make.reload(node),
        ]
        steps += chained(chain)
    return Stage(id="keep", title="Proxies stay proxies", steps=tuple(steps), hosts_at_a_time=8)


def restored(nodes: Sequence[Node], forward: Stage) -> Stage:
    """Back from ``keep`` and ``repair``: the file that was there, or none."""
    own = {step.id for step in forward.steps}
    steps: list[Step] = []
    for node in nodes:
        if f"drop-in:{node.name}" in own:
            steps.append(
                make.restore(node).model_copy(update={"undoes": (f"drop-in:{node.name}",)})
            )
        if f"graceful:{node.name}" in own:
            steps.append(make.graceful_on(node))
    return Stage(
        id=f"back:{forward.id}", title="The files as before", steps=tuple(steps), hosts_at_a_time=8
    )


def everywhere(nodes: Sequence[Node]) -> Stage:
    """At the end: every host reads and writes through its own two ports."""
    steps = tuple(
        WaitStep(
            id=f"serves:{node.name}",
            title="reads and writes through its own ports 2379 and 4001",
            host=node.name,
            danger=Danger.WRITE,
            condition=CommandSays(
                host=node.name, command=commands.serves(node.facts.machine_id), pattern="serves"
            ),
            waiting_for=f"etcd on {node.name} to read and write",
            timeout=WAIT_SECONDS,
            on_timeout=f"look at etcd2 on {node.name}: journalctl -u etcd2",
            undo=f"not needed: a key below {commands.CHECK_KEY} that ends by itself in a minute",
        )
        for node in nodes
    )
    return Stage(id="serves", title="Every host reads and writes", steps=steps)


def _back(id: str, title: str, steps: Sequence[Step], forward: Stage) -> Stage:
    """What undoes a step that the stage does not have is left out."""
    own = {step.id for step in forward.steps}
    kept = [step for step in steps if own.intersection(step.undoes)]
    return Stage(id=id, title=title, steps=chained(kept), hosts_at_a_time=1)
