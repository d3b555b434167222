"""The pretend etcd where the lock needs it exact: time to live, compare-and-swap, compare-and-delete."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from deiswizard.cluster.etcd import EtcdAdapter
from deiswizard.cluster.lock_key import KEY
from deiswizard.demo.cluster import PretendCluster
from deiswizard.demo.etcd_store import EtcdStore, StoreError
from deiswizard.errors import PlanStaleError
from tests.recordings import FLEET, recording


@pytest.fixture(scope="module")
def etcd() -> Iterator[EtcdAdapter]:
    with PretendCluster.start("three", speed=50) as cluster:
        url = urlsplit(cluster.etcd_url)
        adapter = EtcdAdapter(lambda: socket.create_connection((url.hostname, url.port)))
        yield adapter
        adapter.close()


def test_a_key_with_a_ttl_is_gone_when_it_is_over_and_not_before() -> None:
    now = 1000.0
    store = EtcdStore(clock=lambda: now)
    store.put("/l/x", "1", ttl=60)
    now += 59.2
    assert store.get("/l/x")["node"]["ttl"] == 1
    now += 0.8
    with pytest.raises(StoreError) as caught:
        store.get("/l/x")
    assert caught.value.code == 100
    store.put("/l/x", "2", prev_exist=False)  # nobody is there any more
    now += 1e6
    assert "ttl" not in store.get("/l/x")["node"], "a write without a TTL lasts"


def test_each_write_begins_the_ttl_anew_and_expiry_is_a_change_of_its_own() -> None:
    now = 1000.0
    store = EtcdStore(clock=lambda: now)
    made = store.put("/l/x", "1", ttl=60)[0]["node"]["modifiedIndex"]
    now += 50
    swapped = store.put("/l/x", "2", ttl=60, prev_index=made)[0]
    assert swapped["action"] == "compareAndSwap" and swapped["node"]["createdIndex"] == made
    now += 50
    assert store.value("/l/x") == "2"
    now += 11
    after = swapped["node"]["modifiedIndex"] + 1
    change = store.wait("/l/x", after=after, recursive=False, is_gone=lambda: False)
    assert change is not None and change["action"] == "expire"
    with pytest.raises(StoreError) as caught:
        store.put("/l/x", "3", prev_index=swapped["node"]["modifiedIndex"])
    assert caught.value.code == 100


def test_over_http_it_refuses_as_recorded(etcd: EtcdAdapter) -> None:
    etcd.put(KEY, "b", expect=0)
    for query, name in (
        ("prevExist=false", "etcd-api-put-prevExist-false"),
        ("prevValue=zz", "etcd-api-put-prevValue-bad"),
    ):
        status, text, _ = etcd.request("PUT", f"/v2/keys{KEY}?{query}", value="c")
        real = recording(FLEET, name)
        said, meant = json.loads(text), json.loads(real.body)
        assert status == real.http_status
        assert said | {"index": 0, "cause": ""} == meant | {"index": 0, "cause": ""}
        assert meant["cause"] in (said["cause"], "/deis/y/a")
    etcd.remove(KEY, expect=None)


def test_over_http_only_what_was_seen_is_swapped_and_deleted(etcd: EtcdAdapter) -> None:
    first = etcd.put(KEY, "1", expect=0, ttl=60)
    assert first.ttl == 60
    with pytest.raises(PlanStaleError, match="changed"):
        etcd.put(KEY, "2", expect=0, ttl=60)
    second = etcd.put(KEY, "2", expect=first.index, ttl=60)
    for stale in (first.index, second.index + 1):
        with pytest.raises(PlanStaleError, match="changed"):
            etcd.put(KEY, "3", expect=stale, ttl=60)
        with pytest.raises(PlanStaleError, match="changed"):
            etcd.remove(KEY, expect=stale)
    etcd.remove(KEY, expect=second.index)
    for call in (lambda: etcd.remove(KEY, expect=second.index),
                 lambda: etcd.put(KEY, "4", expect=second.index)):  # fmt: skip
        with pytest.raises(PlanStaleError, match="removed"):
            call()
    assert etcd.get(KEY) is None


def test_a_ttl_that_is_no_number_is_refused(etcd: EtcdAdapter) -> None:
    status, text, _ = etcd.request("PUT", f"/v2/keys{KEY}", value="x", ttl="soon")
    assert status == 400 and json.loads(text)["errorCode"] == 203
    assert etcd.get(KEY) is None


def test_a_member_that_is_busy_for_a_moment_is_healthy() -> None:
    """Each is asked at what it advertises; all of them lead to the first here."""
    with PretendCluster.start("three", speed=50) as cluster:
        url = urlsplit(cluster.etcd_url)

        def channel(*_: object) -> socket.socket:
            return socket.create_connection((url.hostname, url.port))

        adapter = EtcdAdapter(channel, channel)
        for blinks, healthy in ((2, True), (1000, False)):
            cluster.hosts[0].etcd.blinks = blinks
            facts = adapter.facts()
            assert [member.healthy for member in facts.members] == [healthy] * 3
            assert cluster.hosts[0].etcd.blinks in (0, 1000 - 3 * 3)
        adapter.close()
