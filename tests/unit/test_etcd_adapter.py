"""etcd: parsers on what a real one said, and the adapter against a real one."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deiswizard.cluster.etcd import EtcdAdapter, leaves, parse_health, parse_members
from deiswizard.cluster.lock_key import KEY, parse_lock, value_of
from deiswizard.cluster.secret_keys import is_secret
from deiswizard.cluster.snapshot import Lock
from deiswizard.errors import LockedError, PlanStaleError, ServiceError
from deiswizard.run.events import Event
from deiswizard.run.lock import RunLock
from tests.recordings import FLEET, recording
from tests.sshd import free_port
from tests.unit.memory_cluster import MemoryCluster, command
from tests.waiting import until

ETCD = shutil.which("etcd")


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdAdapter]:
    if ETCD is None:
        pytest.skip("etcd-server is not installed")
    address = "127.0.78.1"
    client, peer = free_port(address), free_port(address)
    folder: Path = tmp_path_factory.mktemp("etcd")
    process = subprocess.Popen(
        [
            ETCD, "--name", "one", "--data-dir", folder, "--enable-v2",
            "--listen-client-urls", f"http://{address}:{client}",
            "--advertise-client-urls", f"http://{address}:{client}",
            "--listen-peer-urls", f"http://{address}:{peer}",
            "--initial-advertise-peer-urls", f"http://{address}:{peer}",
            "--initial-cluster", f"one=http://{address}:{peer}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    adapter = EtcdAdapter(
        lambda: socket.create_connection((address, client), timeout=10),
        lambda host, port: socket.create_connection((host, port), timeout=3),
        "here",
    )
    try:
        deadline = time.monotonic() + 90
        while True:
            with contextlib.suppress(ServiceError):
                if adapter.facts().leader:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield adapter
    finally:
        adapter.close()
        process.kill()
        process.wait()


def test_members_as_recorded() -> None:
    members = parse_members(json.loads(recording(FLEET, "etcd-api-members").body))
    assert [member.id for member in members] == [
        "568f4b6fe64892ab",
        "aac18d406996db43",
        "dd50786aaec61c7e",
    ]
    assert members[0].name == "c9de9bb90d5a1ffba0ad8fb12ce1be4f"
    assert members[0].client_urls == ("http://10.77.0.13:2379",)
    assert all(member.is_started for member in members)


def test_a_member_that_never_ran_has_no_name() -> None:
    (member,) = parse_members({"members": [{"id": "1", "name": "", "peerURLs": ["http://a:2380"]}]})
    assert not member.is_started and member.client_urls == ()


def test_health_as_recorded() -> None:
    good, bad = recording(FLEET, "etcd-api-health"), recording(FLEET, "noquorum-etcd-api-health")
    assert parse_health(good.http_status, good.body)
    assert not parse_health(bad.http_status, bad.body)
    assert parse_health(200, '{"health": true}')
    assert not parse_health(200, "no json")


def test_a_recorded_tree_gives_every_key_and_hides_the_private_one() -> None:
    node = json.loads(recording(FLEET, "etcd-api-get-dir-rec").body)["node"]
    facts = {fact.key: fact for fact in leaves(node)}
    assert facts["/deis/platform/domain"].value == "deis.example.com"
    assert facts["/deis/platform/enablePlacementOptions"].index == 114
    private = facts["/deis/platform/sshPrivateKey"]
    assert private.value is None and private.is_secret
    assert private.text.startswith("LS0t")
    assert "LS0t" not in repr(private) and "LS0t" not in private.model_dump_json()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("/deis/controller/secretKey", True),
        ("/deis/database/password", True),
        ("/deis/router/sslKey", True),
        ("/deis/certs/example.com/key", True),
        ("/deis/registry/s3secretKey", True),
        ("/deis/config/myapp/database_url", True),
        ("/deis/controller/registrationMode", False),
        ("/deis/router/sslCert", False),
        ("/deis/platform/version", False),
    ],
)
def test_secret_keys_are_known_by_name(key: str, expected: bool) -> None:
    assert is_secret(key) is expected


def test_a_key_is_made_read_and_removed(etcd: EtcdAdapter) -> None:
    made = etcd.put("/deis/a/b c", "väl=ue&x", expect=0)
    found = etcd.get("/deis/a/b c")
    assert found is not None and found.value == "väl=ue&x" and found.index == made.index
    etcd.remove("/deis/a/b c", expect=made.index)
    assert etcd.get("/deis/a/b c") is None


def test_a_key_that_moved_is_not_overwritten(etcd: EtcdAdapter) -> None:
    first = etcd.put("/deis/moved", "1", expect=None)
    etcd.put("/deis/moved", "2", expect=first.index)
    for expect in (first.index, 0):
        with pytest.raises(PlanStaleError, match="changed"):
            etcd.put("/deis/moved", "3", expect=expect)
    with pytest.raises(PlanStaleError):
        etcd.remove("/deis/moved", expect=first.index)
    now = etcd.get("/deis/moved")
    assert now is not None and now.value == "2"


def test_removing_what_is_gone_is_told_apart(etcd: EtcdAdapter) -> None:
    with pytest.raises(PlanStaleError, match="removed"):
        etcd.remove("/deis/never", expect=5)
    with pytest.raises(ServiceError, match="100"):
        etcd.remove("/deis/never", expect=None)


def test_a_tree_has_every_leaf_and_an_absent_one_is_empty(etcd: EtcdAdapter) -> None:
    etcd.put("/tree/x/1", "a", expect=None)
    etcd.put("/tree/x/2", "b", expect=None, ttl=60)
    facts, index = etcd.tree("/tree")
    assert [(fact.key, fact.value) for fact in facts] == [("/tree/x/1", "a"), ("/tree/x/2", "b")]
    assert facts[1].ttl is not None and index > 0
    assert etcd.tree("/none")[0] == ()
    assert etcd.get("/tree/x") is None


def test_the_one_member_leads_and_is_healthy(etcd: EtcdAdapter) -> None:
    until(lambda: bool(etcd.facts().healthy), why="its member is not healthy")
    facts = etcd.facts()
    (member,) = facts.members
    assert member.is_leader and member.healthy and facts.healthy
    assert facts.leader == member.id and facts.version is not None


def test_changes_are_seen_and_waiting_can_be_stopped(etcd: EtcdAdapter) -> None:
    start = etcd.put("/watched/a", "1", expect=None).index
    cancel = threading.Event()
    seen = []

    def watch() -> None:
        for action, fact in etcd.wait_for_change("/watched", start, cancel):
            seen.append((action, fact.value))
            if len(seen) == 2:
                cancel.set()

    thread = threading.Thread(target=watch)
    thread.start()
    etcd.put("/watched/a", "2", expect=None)
    etcd.put("/watched/b", "3", expect=None)
    thread.join(90)
    assert seen == [("set", "2"), ("set", "3")]
    quiet = threading.Event()
    thread = threading.Thread(
        target=lambda: list(etcd.wait_for_change("/watched", start + 9, quiet))
    )
    thread.start()
    quiet.set()
    thread.join(90)
    assert not thread.is_alive()


class OnlyEtcd(MemoryCluster):
    """A cluster of which only the etcd is real."""

    def __init__(self, etcd: EtcdAdapter) -> None:
        super().__init__()
        self.real = etcd

    def etcd(self) -> EtcdAdapter:  # type: ignore[override]
        return self.real


def lock_on(etcd: EtcdAdapter, folder: Path, told: list[Event], **more: Any) -> RunLock:
    return RunLock(
        OnlyEtcd(etcd), told.append, folder=folder, is_needed=True, doing=lambda: "one", **more
    )  # fmt: skip


def test_locks_exclude_each_other_and_stay_while_their_wizards_live(
    etcd: EtcdAdapter, tmp_path: Path
) -> None:
    told: list[Event] = []
    first = lock_on(etcd, tmp_path / "one", told, ttl=8)
    first.acquire()
    begun = etcd.get(KEY)
    assert begun is not None and begun.ttl is not None
    deadline = time.monotonic() + 60
    renewed = 0
    while renewed < 5:  # at two seconds each: longer than the TTL
        now = etcd.get(KEY)
        assert now is not None, "it ran out although its wizard lives"
        renewed, begun = renewed + (now.index != begun.index), now
        assert time.monotonic() < deadline
        time.sleep(0.02)
    second = lock_on(etcd, tmp_path / "two", told)
    with pytest.raises(LockedError, match="one"):
        second.acquire()
    first.release()
    assert etcd.get(KEY) is None
    second.acquire()
    second.release()
    kinds = [event.kind for event in told]
    assert kinds == ["lock-requested", "lock-acquired", "lock-released"] * 2


def test_the_lock_of_a_wizard_that_went_away_ends_by_itself(
    etcd: EtcdAdapter, tmp_path: Path
) -> None:
    gone = Lock(owner="ann@laptop", run="r1", since=1.0, token="t1")
    etcd.put(KEY, value_of(gone), expect=0, ttl=1)
    told: list[Event] = []
    lock = lock_on(etcd, tmp_path / "two", told)
    deadline = time.monotonic() + 30
    while not any(event.kind == "lock-acquired" for event in told):
        assert time.monotonic() < deadline
        with contextlib.suppress(LockedError):
            lock.acquire()
    lock.release()


def test_a_broken_lock_is_another_s_at_once_and_lost_to_the_first(
    etcd: EtcdAdapter, tmp_path: Path
) -> None:
    told: list[Event] = []
    first = lock_on(etcd, tmp_path / "one", told)
    first.acquire()
    seen = parse_lock(etcd.get(KEY))
    assert seen is not None
    second = lock_on(etcd, tmp_path / "two", [], break_token=seen.token)
    second.acquire()
    assert second.allows(command("x")) and not first.allows(command("x"))
    assert "(run two)" in first.lost and told[-1].kind == "lock-lost"
    first.release()
    assert etcd.get(KEY) is not None
    second.release()
    assert etcd.get(KEY) is None


def test_a_service_that_is_away_says_so_at_once() -> None:
    def refused() -> socket.socket:
        raise ConnectionRefusedError

    adapter = EtcdAdapter(refused)
    with pytest.raises(ServiceError, match="did not answer"):
        adapter.get("/deis/x")
    with pytest.raises(ServiceError) as caught:
        adapter.put("/deis/x", "1", expect=None)
    assert "may still be applied" in caught.value.state
