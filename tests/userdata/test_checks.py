"""Each thing that can be wrong has one sentence, with its line and what is allowed."""

from __future__ import annotations

import pytest

from deiswizard.userdata.checks import check
from deiswizard.userdata.discovery import Discovered, answered, questions
from deiswizard.userdata.problems import LineProblem
from tests.userdata.layouts import BY_HAND, FILLED, LAYOUTS, URL


def only(text: str, **more: object) -> LineProblem:
    found = check(text, **more)  # type: ignore[arg-type]
    assert len(found) == 1, found
    return found[0]


def changed(before: str, after: str, text: str = FILLED) -> str:
    assert text.count(before) == 1, before
    return text.replace(before, after)


@pytest.mark.parametrize("text", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_nothing_is_wrong_with_a_good_file_in_any_layout(text: str) -> None:
    """The short one has no client addresses; all else that is said there would be wrong."""
    assert [p.what for p in check(text) if "does not listen" not in p.what] == []


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ("#cloud-confg", "'#cloud-confg'"),
        ("# cloud-config", "'# cloud-config'"),
        ("\ufeff#cloud-config", "byte order mark"),
        ("", "empty"),
        ("#!/bin/sh", "script"),
    ],
)
def test_the_first_line(first: str, said: str) -> None:
    problem = only(changed("#cloud-config", first))
    assert said in problem.what and problem.line == 1 and problem.allowed == "#cloud-config"
    assert problem.blocks


@pytest.mark.parametrize("first", ["#cloud-config ", "#cloud-config\r"])
def test_spaces_behind_the_first_line_do_not_matter(first: str) -> None:
    assert check(changed("#cloud-config", first)) == ()


def test_yaml_that_is_none_is_told_with_line_and_column() -> None:
    problem = only(changed("data-dir: /var", "data-dir: a: /var"))
    assert (problem.line, problem.column) == (13, 16)
    assert problem.said("user-data").startswith("user-data:13:16: not YAML: mapping values")


LINES: list[tuple[str, str, int, str, str]] = [
    # what stands there, what is put there instead, line, said, allowed
    ("data-dir:", "proxy: on\n    data-dir:", 13, "reads as true", '"on", "off", "readonly"'),
    ("data-dir:", "proxy: Off\n    data-dir:", 13, "reads as false", '"on", "off"'),
    ("data-dir:", "proxy: 'onn'\n    data-dir:", 13, "cannot be 'onn' (did you mean 'on'?)", '"on"'),
    ("data-dir:", 'proxy: "readonly"\n    data-dir:', 13, "HTTP 501", '"on"'),
    ('"off"', "off", 19, "reboot-strategy is off without quotes", '"etcd-lock", "reboot", "off"'),
    ("command: stop", "command: halt", 50, "cannot be 'halt'", '"start"'),
    (URL, "", 7, "no discovery URL", "initial-cluster"),
    (URL, f"{URL} #DISCOVERY_URL", 7, "#DISCOVERY_URL is still there", "one URL"),
    (URL, "ftp://a/b", 7, "no web address", "http://"),
    (URL, "<discovery URL here>", 7, "no web address|more than one", "http://"),
    (URL, "https://[broken", 7, "no web address", "http://"),
    (URL, "https://discovery.etcd.io/", 7, "no cluster there", "made for this"),
    (URL, "https://discovery.etcd.io/new?size=3", 7, "makes discovery URLs", "answers"),
    (URL, f"{URL},{URL}", 7, "more than one", "one URL"),
    ("data-dir:", "initial-cluster: a=http://1.2.3.4:2380\n    data-dir:", 13, "refuses to start", "one of"),
    (f"discovery: {URL}", "initial-cluster: a=1.2.3.4", 7, "'a=1.2.3.4', which is no member", "NAME="),
    (f"discovery: {URL}", "initial-cluster: a=http://b:1,c=http://b:1", 7, "twice", "once"),
    ("metadata: name", 'metadata: "\\"x\\"=y",name', 17, "not YAML", "YAML"),
    ("metadata: name=%H", "metadata: 'name=\"a\"'\n    token-limit: 1 #", 17, "does not quote", "without double"),
    ("http://0.0.0.0:2379,http", "https://0.0.0.0:2379,http", 11, "no Deis component", "http://"),
    ("  units:\n", "  units: 1\n  nothing:\n", 20, "is no list", "'-'"),
    ("  fleet:\n", "  fleet: 1\n  nothing:\n", 15, "is no section", "agent-ttl"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "line", "what", "allowed"), LINES)
def test_what_keeps_hosts_from_working(
    before: str, after: str, line: int, what: str, allowed: str
) -> None:
    found = check(changed(before, after))
    problem = next(p for p in found if any(part in p.what for part in what.split("|")))
    assert problem.blocks and problem.line == line and allowed in problem.allowed, found
    assert "\n" not in problem.said("f") and problem.said("f").startswith(f"f:{line}:")


HINTS: list[tuple[str, str, int, str, str]] = [
    ("data-dir:", "dicsovery: x\n    data-dir:", 13, "did you mean 'discovery'", "advertise-client-urls"),
    ("  fleet:", "  feet:", 15, "did you mean 'fleet'", "etcd2"),
    ("  update:", "  write_files: []\n  update:", 18, "coreos.write_files", "top level"),
    ("write_files:", "fleet: {}\nwrite_files:", 53, "does not know fleet", "below coreos"),
    ("data-dir:", "data_dir: /x\n    data-dir:", 14, "written twice (line 13", "once"),
    ("enable: false", 'enable: "false"', 51, "passes over", "without quotes"),
    ("public-ip:", "verbosity: much\n    public-ip:", 16, "'much'", "whole number"),
    (",disk=ssd", ",ssd", 17, "passes over 'ssd'", "key=value"),
    (",disk=ssd", ",name=b", 17, "name 2 times", "once"),
    ("routerMesh=true", "routermesh=true", 17, "did you mean 'routerMesh'", "routerMesh"),
    ("dataPlane=true", "dataPlane=yes", 17, "dataPlane=yes is no plane", "dataPlane=true"),
    (",http://0.0.0.0:4001", "", 11, "port 4001", "0.0.0.0:4001"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "line", "what", "allowed"), HINTS)
def test_what_is_passed_over_or_means_something_else(
    before: str, after: str, line: int, what: str, allowed: str
) -> None:
    problem = only(changed(before, after))
    assert what in problem.what and allowed in problem.allowed and not problem.blocks
    assert problem.line == line and ": warning: " in problem.said("f")


def test_addresses_that_only_the_host_itself_reaches() -> None:
    text = FILLED.replace("http://0.0.0.0", "http://127.0.0.1")
    assert "the host's address" in only(text).what


def test_dataplane_false_is_a_way_to_say_no() -> None:
    assert check(changed("dataPlane=true", "dataPlane=false")) == ()


def test_as_it_came_the_url_is_missing() -> None:
    problem = only(BY_HAND)
    assert problem.line == 7 and "#DISCOVERY_URL is still there" in problem.what


def test_no_sentence_tells_the_url() -> None:
    token = URL.rpartition("/")[2]
    for text in (f"{URL} {URL}", f"ftp://h/{token}", f"http://h/new?size=3&t={token}"):
        found = check(changed(URL, text), members=5, discovered=Discovered(3, 2))
        assert found and token not in str(found)


def test_members_are_counted_where_the_file_or_the_service_tells() -> None:
    sized = changed(URL, f"{URL}?size=3")
    assert check(sized, members=3) == ()
    more = only(sized, members=5)
    assert "for 3 members" in more.what and "become proxies" in more.what
    less = only(FILLED, members=3, discovered=Discovered(size=5))
    assert "waits for 5 hosts" in less.what and less.allowed == "a URL made with size=3"
    listed = changed(f"discovery: {URL}", "initial-cluster: a=http://1.2.3.4:2380")
    assert "has 1 members" in only(listed, members=3).what


def test_a_used_and_an_unknown_url() -> None:
    used = only(FILLED, members=3, discovered=Discovered(size=3, registered=3))
    assert "has been used: 3 hosts" in used.what and not used.blocks
    assert "expired" in only(FILLED, discovered=Discovered(is_known=False)).what


def test_the_service_is_asked_and_understood() -> None:
    assert questions(f"{URL}/") == (f"{URL}/_config/size", URL)
    size = '{"action":"get","node":{"key":"/_etcd/registry/x/_config/size","value":"3"}}'
    nodes = '{"action":"get","node":{"dir":true,"nodes":[{"key":"/a/1","value":"n=http://1.2.3.4:2380"}]}}'
    assert answered(size, nodes) == Discovered(3, 1)
    for nonsense in ("", "[]", "null", '{"node":[]}', '{"node":{"value":"x","nodes":3}}'):
        assert answered(nonsense, nonsense) == Discovered(None, 0)
