"""What hosts say of their etcd, for tests of pure functions and for the pictures."""

from __future__ import annotations

import json

from deiswizard.cluster.etcd_host import SECTIONS
from deiswizard.cluster.probe_script import script
from deiswizard.cluster.snapshot import Answer, HostFacts, Member

MARKER = "section-0123456789abcdef"
ASKED = script(MARKER, SECTIONS)


def members_of(hosts: tuple[HostFacts, ...]) -> tuple[Member, ...]:
    """Every host a member; the first leads."""
    return tuple(
        Member(
            id=f"{number:08x}{'5d1e77aa'}",
            name=host.machine_id,
            peer_urls=(f"http://{host.address}:2380",),
            client_urls=(f"http://{host.address}:2379",),
            healthy=True,
            is_leader=number == 1,
        )
        for number, host in enumerate(hosts, 1)
    )


def etcd_answer(
    host: HostFacts,
    member_id: str = "",
    *,
    role: str = "member",
    healthy: bool = True,
    persisted: bool = True,
) -> Answer:
    """A host that runs a member, or a proxy; ``role`` ``both`` and ``none`` run nothing."""
    environment = f"ETCD_DATA_DIR=/var/lib/etcd2 ETCD_NAME={host.machine_id}"
    if role == "proxy" and persisted:
        environment += " ETCD_PROXY=on"
    runs = role in ("member", "proxy")
    found = {
        "unit": f"Environment={environment}\nActiveState={'active' if runs else 'failed'}\nSubState=running",
        "data": "\n".join(["dir /var/lib/etcd2", *{"both": ["member", "proxy"], "none": []}.get(role, [role])]),
        "proxy": {"member": "404 page not found\n404", "proxy": '{"endpoints": ["http://10.21.2.11:2379"]}\n200'}.get(role, "\n000"),
        "health": json.dumps({"health": "true" if healthy else "false"}) if runs else "",
        "self": json.dumps({"id": member_id}) if runs else "",
        "raft": "X-Raft-Index: 48377\nX-Raft-Term: 7" if runs else "",
        "version": json.dumps({"etcdserver": "2.3.8", "etcdcluster": "2.3.0"}) if runs else "",
        "graceful": "disabled",
    }  # fmt: skip
    out = "".join(f"{MARKER} {name}\n{text}\n" for name, text in found.items())
    return Answer(id="etcd.host", host=host.name, command=ASKED, code=0, out=out)


def etcd_answers(hosts: tuple[HostFacts, ...]) -> tuple[Answer, ...]:
    """Of hosts that are all healthy members; one that cannot be reached says nothing."""
    pairs = zip(hosts, members_of(hosts), strict=True)
    return tuple(etcd_answer(host, member.id) for host, member in pairs if host.reachable)
