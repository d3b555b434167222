"""Running without Ceph: how a cluster stands, and what may be chosen."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from deiswizard.recommendations.stateless.assess import assess
from deiswizard.recommendations.stateless.choices import defaults
from deiswizard.recommendations.stateless.facts import (
    control_hosts,
    flavour_of,
    graceful_hosts,
    is_database_outside,
    kind_of,
    leftovers,
)
from deiswizard.recommendations.stateless.verify import verify
from deiswizard.vocabulary import Status
from tests.unit.planes_world import unit, world
from tests.unit.stateless_world import GATEWAY, REGISTRY, asked, choose, cluster, sentences


@pytest.mark.parametrize(
    ("kind", "status", "now"),
    [
        ("ceph", Status.BY_CHOICE, "Ceph on 5 hosts, HEALTH_OK"),
        ("stateless", Status.OK, "no Ceph; s3://images"),
        ("new", Status.BY_CHOICE, "Deis is not installed yet"),
    ],
)
def test_with_ceph_and_without_it_are_both_well(kind: str, status: Status, now: str) -> None:
    snapshot = cluster(kind)
    assert kind_of(snapshot) == kind
    found = assess(snapshot)
    assert (found.status, found.now) == (status, now)


def test_a_key_that_expires_is_what_a_component_says_and_no_setting() -> None:
    assert not is_database_outside(cluster("ceph")) and flavour_of(cluster("ceph")) == "ceph"
    assert is_database_outside(cluster("stateless")) and flavour_of(cluster("stateless")) == "s3"
    other = cluster("stateless", keys={f"{REGISTRY}/s3bucket": None, f"{GATEWAY}/host": "10.9.9.9"})
    assert flavour_of(other) == "compatible"


TRAPS: dict[str, tuple[str, dict[str, Any], Status, str]] = {
    "leftover keys": ("stateless", {"keys": {f"{GATEWAY}/accessKey": "OLD"}}, Status.AT_RISK, "win over those of S3"),
    "one key of two": ("stateless", {"keys": {f"{REGISTRY}/s3secretKey": None}}, Status.AT_RISK, "only one of S3's two keys"),
    "no gateway folder": ("stateless", {"keys": {f"{GATEWAY}/placeholder": None}}, Status.AT_RISK, "cannot make its configuration"),
    "plain gateway key": ("stateless", {"keys": {f"{GATEWAY}/placeholder": None, GATEWAY: " "}}, Status.OK, ""),
    "swift's own settings": ("stateless", {"keys": {f"{REGISTRY}/s3bucket": None, f"{REGISTRY}/swiftAuthURL": "http://k"}}, Status.AT_RISK, "do not start"),
    "no store": ("stateless", {"keys": {f"{REGISTRY}/s3bucket": None}}, Status.AT_RISK, "the registry has no store"),
    "no database": ("stateless", {"keys": {"/deis/database/host": None}}, Status.AT_RISK, "the controller has no database"),
    "logs on a folder": ("stateless", {"keys": {"/deis/logs/storageAdapterType": None}}, Status.AT_RISK, "'deis logs' is empty"),
    "memory of nothing": ("stateless", {"keys": {"/deis/logs/storageAdapterType": "memory:0"}}, Status.AT_RISK, "'deis logs' is empty"),
    "does not answer": ("stateless", {"answers": asked(5, well=False)}, Status.AT_RISK, "registry does not answer"),
    "leaves Ceph at shutdown": ("stateless", {"answers": asked(5, graceful=(2,))}, Status.PARTLY, "leaves Ceph at shutdown"),
    "images outside, Ceph runs": ("ceph", {"keys": {f"{REGISTRY}/s3bucket": "images"}}, Status.AT_RISK, "win over those of S3"),
    "database outside, its own runs": ("ceph", {"keys": {"/deis/database/host": "db"}, "fleeting": {"/x": "y"}}, Status.AT_RISK, "will write its address over it"),
}  # fmt: skip


@pytest.mark.parametrize("name", TRAPS)
def test_what_is_half_done_or_cannot_work_is_found(name: str) -> None:
    kind, changes, status, words = TRAPS[name]
    found = assess(cluster(kind, **changes))
    assert found.status is status, found
    assert words in " / ".join(finding.what for finding in found.findings)
    assert all(finding.do for finding in found.findings)


def test_old_data_is_told_and_is_no_fault() -> None:
    found = assess(cluster("stateless"))
    assert found.status is Status.OK and "old data" in found.findings[0].what
    there = ("deis-database-data", "deis-store-daemon-data", "deis-store-monitor-data")
    assert leftovers(cluster("stateless"))["deis-4"] == there
    assert not assess(cluster("stateless", answers=asked(5, data=False))).findings


def test_defaults_take_up_what_is_set_and_no_secret() -> None:
    now = defaults(cluster("stateless"))
    assert (now.bucket, now.region, now.auth, now.database_data) == (
        "images",
        "us-east-1",
        "keep",
        "there",
    )
    assert now.database_host == "db.example.com" and not now.database_password.get_secret_value()
    assert not sentences(cluster("stateless"), now)
    fresh = defaults(cluster("ceph"))
    assert (fresh.bucket, fresh.auth, fresh.database_data) == ("", "keys", "copy")


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a dot": ({"bucket": "my.images"}, "bucket: the registry refuses a bucket with a '.'"),
    "capitals": ({"bucket": "Images"}, "bucket: a bucket's name has"),
    "no bucket": ({"bucket": ""}, "bucket: no bucket is named"),
    "a bucket that YAML reads as a number": ({"bucket": "123456"}, "bucket: the bucket would be read as something else"),
    "one key": ({"secret_key": ""}, "secret_key: this key is missing"),
    "a key with a quote": ({"secret_key": "a'b"}, "secret_key: the secret key may hold neither"),
    "a key that YAML reads otherwise": ({"secret_key": "abc: def"}, "secret_key: the secret key would be read as something else"),
    "nothing to keep": ({"auth": "keep"}, "auth: there are no keys of this store"),
    "a role elsewhere than at Amazon": ({"store": "compatible", "store_host": "s3.example.com", "auth": "role"}, "auth: an instance role is for Amazon"),
    "a path without a slash": ({"path": "registry"}, "path: the path does not begin"),
    "a URL": ({"database_host": "postgres://db"}, "database_host: this is no name of a host"),
    "no password": ({"database_password": ""}, "database_password: the password is missing"),
    "a password with a quote": ({"database_password": "a'b"}, "database_password: the database password may hold neither"),
    "a user with a line break": ({"database_user": "a\nb"}, "database_user: the database user may hold neither"),
    "a drain without a scheme": ({"drain": "logs:514"}, "drain: the scheme is missing"),
    "no host of the store": ({"store": "compatible"}, "store_host: no host is named"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_work_is_told_beside_its_field(name: str) -> None:
    changes, words = WRONG[name]
    found = sentences(cluster("ceph"), choose(**changes))
    assert words in found
    assert "a'b" not in found, "what was typed as a secret is never told"


def test_what_is_to_be_known_before_does_not_block() -> None:
    choices = choose(region="eu-central-1", encrypt=False)
    assert not sentences(cluster("ceph"), choices)
    told = sentences(cluster("ceph"), choices, blocks=False)
    assert "none of the regions that take signature version 2" in told
    assert "back up first" in told and "encrypt" in told and "drain" in told
    plain = choose(store="swift", store_host="10.1.50.1", store_port=8080)
    assert not sentences(cluster("ceph"), plain)
    assert "without TLS" in sentences(cluster("ceph"), plain, blocks=False)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"region": "eu-west-1", "encrypt": False}, ""),
        ({"bucket": "others"}, "bucket: images are not copied from images"),
        ({"path": "/elsewhere"}, "bucket: images are not copied from images"),
        ({"database_name": "deis2"}, "database_host: tables are not copied from db.example.com"),
        ({"database_host": "db2.example.com", "database_password": "x"}, "database_host: tables are not"),
    ],
)  # fmt: skip
def test_other_stores_of_a_cluster_without_ceph_are_filled_by_the_operator(
    changes: dict[str, Any], words: str
) -> None:
    """Whatever was answered when it left Ceph: that question is not asked any more."""
    now = cluster("stateless")
    for data in ("copy", "there"):
        asked_before = {"database_data": data, "registry_data": data, **changes}
        choices = defaults(now).model_copy(update=asked_before)
        if "database_password" in changes:
            choices = choices.model_copy(update={"database_password": SecretStr("x")})
        assert not sentences(now, choices)
        told = sentences(now, choices, blocks=False)
        assert ("are not copied from" in told) == bool(words) and words in told
    assert "are not copied from" not in sentences(cluster("ceph"), choose(), blocks=False)


@pytest.mark.parametrize(
    ("changes", "choices", "words"),
    [
        ({"health": "HEALTH_WARN 3 pgs degraded"}, {}, "Ceph is not well (HEALTH_WARN 3 pgs degraded)"),
        ({"where": {"database": []}}, {}, "database does not run"),
        ({"hosts": 3, "units": (unit("store-admin", is_global=True, content=""),)}, {}, "could not be brought back"),
    ],
)  # fmt: skip
def test_ceph_is_only_left_when_all_of_it_can_be_copied_and_brought_back(
    changes: dict[str, Any], choices: dict[str, Any], words: str
) -> None:
    assert words in sentences(cluster("ceph", **changes), choose(**choices))


def test_an_ill_ceph_is_no_matter_when_nothing_is_copied_from_it() -> None:
    ill = cluster("ceph", health="HEALTH_ERR")
    there = choose(registry_data="there", database_data="there")
    assert "Ceph is not well" not in sentences(ill, there)


def test_a_new_cluster_needs_a_domain_and_a_host_for_each_router() -> None:
    new = cluster("new", keys={"/deis/platform/domain": None}, hosts=3)
    found = sentences(new, choose(routers=4))
    assert "not installed without a domain" in found and "one to a host" in found
    assert not sentences(cluster("new", hosts=3), choose(routers=3))


@pytest.mark.parametrize(
    ("flag", "is_wrong"), [("yes", True), ("t", True), ("true", False), ("0", False)]
)
def test_a_flag_with_which_nothing_would_be_installed_is_refused(flag: str, is_wrong: bool) -> None:
    new = cluster("new", keys={"/deis/platform/enablePlacementOptions": flag}, hosts=3)
    assert ("enablePlacementOptions is" in sentences(new, choose(routers=3))) is is_wrong


def test_stores_are_tried_from_wherever_what_uses_them_may_run() -> None:
    apart = ("controlPlane=true", "controlPlane=true", "dataPlane=true")
    names = {
        decorated: [host.name for host in control_hosts(world(*apart, decorated=decorated))]
        for decorated in (True, False)
    }
    assert names[True] == ["deis-1", "deis-2"]
    assert names[False] == ["deis-1", "deis-2", "deis-3"], "metadata keeps no unit by itself"


def test_old_data_goes_only_when_it_is_not_used_and_it_was_said_twice() -> None:
    remove = {"part": "remove", "confirm": "remove the old data"}
    assert "still runs on it" in sentences(cluster("ceph"), choose(**remove))
    assert not sentences(cluster("stateless"), choose(**remove))
    assert "no undo" in sentences(cluster("stateless"), choose(part="remove", confirm="yes"))
    bare = cluster("stateless", answers=asked(5, data=False))
    assert "no host has old data" in sentences(bare, choose(**remove))
    whole = cluster("stateless")
    for gone in ("registry", "controller"):
        states = tuple(state for state in whole.unit_states if gone not in state.unit)
        stopped = whole.model_copy(update={"unit_states": states})
        assert f"the {gone} runs nowhere" in sentences(stopped, choose(**remove))
    inside = cluster("stateless", keys={"/deis/database/host": None})
    assert "the database is not outside" in sentences(inside, choose(**remove))


def test_who_leaves_ceph_at_shutdown_is_found() -> None:
    found = graceful_hosts(cluster("ceph", answers=asked(5, graceful=(2, 4))))
    assert [host.name for host in found] == ["deis-2", "deis-4"]


def test_verify_sees_units_settings_and_what_the_components_answer() -> None:
    before, after = cluster("ceph"), cluster("stateless")
    assert all(check.ok for check in verify(before, after, choose())), verify(
        before, after, choose()
    )
    bad = {c.title for c in verify(before, before, choose()) if not c.ok}
    assert (
        "no unit of Ceph and no database is left" in bad
        and "logger keeps its lines in memory" in bad
    )
    ill = cluster("stateless", answers=asked(5, well=False))
    assert {c.title for c in verify(before, ill, choose()) if not c.ok} == {
        "registry answers",
        "controller answers",
    }
