"""One file for each role: what it says, and that nothing else in it moved."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from deiswizard.cluster.etcd_host import ETCD_SHUTDOWN
from deiswizard.errors import AnswersError
from deiswizard.redaction import Redactor
from deiswizard.userdata import metadata
from deiswizard.userdata.checks import check
from deiswizard.userdata.diff import as_text, difference
from deiswizard.userdata.members import Member, initial_cluster, member_named, members_in
from deiswizard.userdata.reading import read
from deiswizard.userdata.roles import (
    Role,
    advice,
    member_user_data,
    planes_user_data,
    proxy_user_data,
    role_user_data,
)
from tests.userdata.layouts import BY_HAND, FILLED, LAYOUTS, SHORT, URL

NOTHING = Redactor([])
MEMBERS = (Member("a", "http://10.0.0.1:2380"), Member("b", "http://10.0.0.2:2380"))
LISTED = "a=http://10.0.0.1:2380,b=http://10.0.0.2:2380"
layouts = pytest.mark.parametrize("text", LAYOUTS.values(), ids=LAYOUTS.keys())


def came(before: str, after: str) -> list[str]:
    return [
        line.text.strip()
        for line in difference(before, after, redactor=NOTHING)
        if line.sign == "+"
    ]


def went(before: str, after: str) -> list[str]:
    return [
        line.text.strip()
        for line in difference(before, after, redactor=NOTHING)
        if line.sign == "-"
    ]


def etcd2(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)["coreos"]["etcd2"]
    return found


def test_a_member_is_what_the_documentation_gives_everybody() -> None:
    assert member_user_data(FILLED) == FILLED
    assert member_user_data(BY_HAND, discovery=URL) == FILLED
    assert member_user_data(proxy_user_data(FILLED)).count('proxy: "off"\n') == 1


@layouts
def test_a_proxy_by_the_discovery_url(text: str) -> None:
    new = proxy_user_data(text)
    said = read(new)
    assert said.proxy == etcd2(new)["proxy"] == "on"
    assert said.discovery == read(text).discovery
    assert {url.rpartition(":")[2] for url in said.client_urls} == {"2379", "4001"}
    assert [problem for problem in check(new) if problem.blocks] == []


@layouts
def test_a_proxy_by_the_list_of_members_has_no_discovery_url(text: str) -> None:
    new = proxy_user_data(text, MEMBERS)
    said = read(new)
    assert said.members == MEMBERS and said.discovery == etcd2(new)["discovery"] == ""
    assert [problem for problem in check(new, members=2) if problem.blocks] == []


def test_a_proxy_of_the_file_as_it_came_changes_these_lines_and_no_other() -> None:
    new = proxy_user_data(BY_HAND, MEMBERS)
    assert came(BY_HAND, new) == [
        'discovery: ""', 'proxy: "on"', f"initial-cluster: {LISTED}", 'command: ""', "enable: false",
    ]  # fmt: skip
    assert went(BY_HAND, new) == ["discovery: #DISCOVERY_URL", "command: start", "enable: true"]


def test_a_bare_on_is_put_right() -> None:
    text = FILLED.replace("    data-dir", "    proxy: on # as documented\n    data-dir")
    new = proxy_user_data(text)
    assert '    proxy: "on" # as documented\n' in new and etcd2(new)["proxy"] == "on"


@pytest.mark.parametrize(
    ("urls", "wanted"),
    [
        ("", "http://0.0.0.0:2379,http://0.0.0.0:4001"),
        ("http://$private_ipv4:2379", "http://$private_ipv4:2379,http://$private_ipv4:4001"),
        ("http://0.0.0.0:4001", "http://0.0.0.0:4001,http://0.0.0.0:2379"),
        ("nonsense", "nonsense,http://0.0.0.0:2379,http://0.0.0.0:4001"),
    ],
)
def test_both_ports(urls: str, wanted: str) -> None:
    text = FILLED.replace("http://0.0.0.0:2379,http://0.0.0.0:4001", urls)
    for new in (member_user_data(text), proxy_user_data(text)):
        assert etcd2(new)["listen-client-urls"] == wanted
    assert (
        etcd2(proxy_user_data(SHORT))["listen-client-urls"]
        == "http://0.0.0.0:2379,http://0.0.0.0:4001"
    )


def test_leaving_etcd_at_shutdown_is_for_members() -> None:
    unit = next(unit for unit in read(proxy_user_data(FILLED)).units if unit.name == ETCD_SHUTDOWN)
    assert not unit.is_enabled and unit.command == ""
    unit = next(unit for unit in read(member_user_data(FILLED)).units if unit.name == ETCD_SHUTDOWN)
    assert unit.is_enabled and unit.command == "start"


def test_what_to_know_about_proxies() -> None:
    assert advice(member_user_data(FILLED)) == ()
    assert "start the members first" in advice(proxy_user_data(FILLED))[0]
    assert "2 listed members" in advice(proxy_user_data(FILLED, MEMBERS))[0]
    ceph = FILLED.replace(
        "    - name: update-engine", "    - name: graceful-ceph-shutdown.service\n      enable: true\n    - name: update-engine"
    )  # fmt: skip
    assert "fails on a proxy" in advice(proxy_user_data(ceph))[1]


SETS = [s for n in (1, 2, 3) for s in itertools.combinations(metadata.PLANES, n)]


@pytest.mark.parametrize("planes", SETS, ids="+".join)
@layouts
def test_planes(text: str, planes: tuple[str, ...]) -> None:
    new = planes_user_data(text, planes)
    said = read(new)
    assert said.planes == planes
    others = [
        pair
        for pair in metadata.pairs(read(text).metadata)
        if pair[0] not in metadata.PLANES.values()
    ]
    assert [
        pair for pair in metadata.pairs(said.metadata) if pair[0] not in metadata.PLANES.values()
    ] == others
    assert planes_user_data(new, planes) == new
    if planes == read(text).planes:
        assert new == text


def test_planes_change_one_line() -> None:
    new = planes_user_data(FILLED, ("router", "control"))
    assert came(FILLED, new) == ["metadata: name=%H,controlPlane=true,routerMesh=true,disk=ssd"]
    assert len(went(FILLED, new)) == 1


def test_the_comment_behind_the_metadata_stays() -> None:
    new = planes_user_data(SHORT, ["data"])
    assert came(SHORT, new) == ["metadata:   ssd=true,dataPlane=true     # disks"]


def test_both_together_are_the_same_in_any_order() -> None:
    role = Role("proxy", ("data",))
    new = role_user_data(FILLED, role, members=MEMBERS)
    assert new == proxy_user_data(planes_user_data(FILLED, ["data"]), MEMBERS)
    assert read(new).proxy == "on" and read(new).planes == ("data",)
    assert role.file_name == "user-data-proxy-data"
    assert role_user_data(FILLED, Role()) == FILLED


def test_unknown_planes_and_none() -> None:
    with pytest.raises(AnswersError, match="mesh") as caught:
        planes_user_data(FILLED, ["mesh"])
    assert "control, data, router" in caught.value.do
    with pytest.raises(AnswersError):
        planes_user_data(FILLED, [])


@pytest.mark.parametrize(
    ("before", "planes", "after"),
    [
        ("", ["data"], "dataPlane=true"),
        ("a=b", ["data"], "a=b,dataPlane=true"),
        (" a = b , dataPlane = true ", ["data"], " a = b , dataPlane = true "),
        ("dataPlane=false,a=b", ["data"], "dataPlane=true,a=b"),
        ("dataPlane=true,dataPlane=false", ["data"], "dataPlane=true"),
        ("controlPlane=true,a=b=c,routerMesh=true", ["router"], "a=b=c,routerMesh=true"),
        ("bare,dataplane=true", ["control"], "bare,dataplane=true,controlPlane=true"),
        ("a=b,", ["control", "data", "router"], "a=b,controlPlane=true,dataPlane=true,routerMesh=true"),
    ],
)  # fmt: skip
def test_metadata_keeps_what_is_not_ours(before: str, planes: list[str], after: str) -> None:
    assert metadata.with_planes(before, planes) == after


@settings(max_examples=200)
@given(
    entries=st.lists(st.text(alphabet="ab =PTtrue", max_size=8) | st.sampled_from(["dataPlane=true", "routerMesh = no", "controlPlane=false"]), max_size=6),
    planes=st.sets(st.sampled_from(list(metadata.PLANES)), min_size=1),
)  # fmt: skip
def test_any_metadata(entries: list[str], planes: set[str]) -> None:
    before = ",".join(entries)
    after = metadata.with_planes(before, planes)
    assert set(metadata.planes_of(after)) == planes
    ours = set(metadata.PLANES.values())
    assert [p for p in metadata.pairs(after) if p[0] not in ours] == [
        p for p in metadata.pairs(before) if p[0] not in ours
    ]
    assert metadata.lost(after) == tuple(e for e in metadata.lost(before) if e not in ours)


def test_members_are_written_and_read() -> None:
    assert initial_cluster(MEMBERS) == LISTED
    assert members_in(LISTED) == (MEMBERS, ())
    assert member_named("10.21.2.11") == Member("10.21.2.11", "http://10.21.2.11:2380")
    assert member_named("fd00::1").peer_url == "http://[fd00::1]:2380"
    assert member_named("x=http://host:7001").peer_url == "http://host:7001"
    for wrong in (
        "host",
        "a=host",
        "=http://a:1",
        "a=http://b",
        "a=http://b:1,c=d",
        "a=http://b:x",
        "a b=http://b:1",
    ):
        with pytest.raises(AnswersError, match="no member"):
            member_named(wrong)


def test_the_view_of_the_file() -> None:
    said = read(FILLED)
    assert said.data_dir == "/var/lib/etcd2" and said.reboot_strategy == "off" and said.proxy == ""
    docker = said.units[2]
    assert docker.name == "docker.service" and [one.name for one in docker.drop_ins] == [
        "10-flannel.conf",
        "50-registry.conf",
    ]
    assert docker.drop_ins[0].content.startswith("[Unit]\n# comes with")
    assert said.files[0].name == "/etc/deis-release"
    assert URL not in repr(said)


def test_a_difference_reads_without_colour_and_hides_what_is_secret() -> None:
    from pydantic import SecretStr

    token = URL.rpartition("/")[2]
    new = member_user_data(BY_HAND, discovery=URL).rstrip("\n")
    text = as_text(difference(BY_HAND, new, redactor=Redactor([SecretStr(token)])))
    assert (
        "-     discovery: #DISCOVERY_URL\n+     discovery: https://discovery.etcd.io/<secret>\n"
        in text
    )
    assert token not in text and text.startswith("@ lines 4 to 10, now 4 to 10\n")
    assert text.endswith('+       etcdctl member remove "$id" (no line end)')
    assert difference(BY_HAND, BY_HAND, redactor=NOTHING) == ()
