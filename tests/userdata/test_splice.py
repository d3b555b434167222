"""A change touches its own line and nothing else, in every layout and for every value."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from deiswizard.errors import PreconditionError
from deiswizard.userdata.nodes import KeyPath, NotYamlError
from deiswizard.userdata.splice import append_item, set_value
from deiswizard.userdata.units import with_drop_in, with_file, with_unit
from tests.userdata.layouts import BY_HAND, FILLED, LAYOUTS, SHORT, URL

layouts = pytest.mark.parametrize("text", LAYOUTS.values(), ids=LAYOUTS.keys())

PROXY: KeyPath = ("coreos", "etcd2", "proxy")
DISCOVERY: KeyPath = ("coreos", "etcd2", "discovery")
METADATA: KeyPath = ("coreos", "fleet", "metadata")


def at(data: Any, *path: Any) -> Any:
    for key in path:
        data = data[key]
    return data


def what_changed(before: str, after: str) -> tuple[str, str]:
    """What went and what came, between the longest common beginning and end."""
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    return before[start : len(before) - end], after[start : len(after) - end]


def lines_of(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def other_lines(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines of each that the other has not, line ends of the last line aside."""
    old = [line.rstrip("\r\n") for line in lines_of(before)]
    new = [line.rstrip("\r\n") for line in lines_of(after)]
    return [line for line in old if line not in new], [line for line in new if line not in old]


@layouts
def test_a_new_key_is_one_new_line(text: str) -> None:
    new = set_value(text, PROXY, "on")
    assert at(yaml.safe_load(new), *PROXY) == "on"
    went, came = what_changed(text, new)
    assert went == ""
    assert re.fullmatch(r'[\s,]*(proxy: "on"|y: "on"[\r\n ]+prox)[\s,]*', came), came
    gone, fresh = other_lines(text, new)
    assert len(fresh) == 1 and '"on"' in fresh[0] and len(gone) <= 1


@layouts
def test_a_value_is_changed_in_its_place(text: str) -> None:
    new = set_value(text, METADATA, "ssd=true,controlPlane=true")
    before, after = yaml.safe_load(text), yaml.safe_load(new)
    assert at(after, *METADATA) == "ssd=true,controlPlane=true"
    at(after, "coreos", "fleet")["metadata"] = at(before, *METADATA)
    assert after == before
    went, came = what_changed(text, new)
    assert "\n" not in went.strip() and "\n" not in came.strip()


@layouts
def test_what_is_so_already_stays_byte_for_byte(text: str) -> None:
    value = at(yaml.safe_load(text), *METADATA)
    assert set_value(text, METADATA, value) == text


@layouts
@settings(max_examples=25)
@given(value=st.text())
def test_any_text_can_be_a_value(text: str, value: str) -> None:
    new = set_value(text, METADATA, value)
    before, after = yaml.safe_load(text), yaml.safe_load(new)
    assert at(after, *METADATA) == value
    at(after, "coreos", "fleet")["metadata"] = at(before, *METADATA)
    assert after == before
    assert new.startswith(text[: text.index("metadata")])


WORDS = ("on", "Off", "yes", "n", "~", "null", "1_000", "0x1f", "2016-01-01", "1:30", "", " x", "#a", "a: b", "a #b",
         "- a", "'", '"', "%a", "@a", "a:", "[a]", "{a}", "\u2028", "\ufeff", "=", "<<", "!x", "&x", "*x", "| x")  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_words_that_mean_something_to_yaml_stay_words(word: str) -> None:
    for path in (METADATA, PROXY, DISCOVERY):
        for text in (FILLED, BY_HAND, SHORT):
            assert at(yaml.safe_load(set_value(text, path, word)), *path) == word


def test_the_empty_node_and_its_comment() -> None:
    with_comment = set_value(BY_HAND, DISCOVERY, URL)
    assert f"    discovery: {URL} #DISCOVERY_URL\n" in with_comment
    new = set_value(BY_HAND, DISCOVERY, URL, placeholder="#DISCOVERY_URL")
    assert new == FILLED
    assert what_changed(BY_HAND, new) == ("#DISCOVERY_URL", URL)


def test_keys_keep_their_spelling() -> None:
    path = ("coreos", "etcd2", "initial-advertise-peer-urls")
    new = set_value(FILLED, path, "http://$private_ipv4:7001")
    assert what_changed(FILLED, new) == ("2380", "7001")
    assert "initial_advertise_peer_urls: http://$private_ipv4:7001\n" in new


def test_a_comment_behind_a_value_stays() -> None:
    new = set_value(FILLED, ("coreos", "etcd2", "listen-client-urls"), "http://0.0.0.0:4001")
    assert "    listen-client-urls: http://0.0.0.0:4001   # both of them\n" in new


@pytest.mark.parametrize(
    "text",
    [
        "#cloud-config\ncoreos:\n  update:\n    group: alpha\n",
        "#cloud-config\ncoreos:\n",
        "#cloud-config\nhostname: a\n",
        "#cloud-config\nhostname: a",
        "#cloud-config\ncoreos:\n  fleet: # nothing yet\n  update:\n    group: alpha\n",
        "#cloud-config\r\ncoreos:\r\n  update:\r\n    group: alpha\r\n# end\r\n",
    ],
)
def test_sections_that_are_missing_are_made(text: str) -> None:
    new = set_value(text, METADATA, "dataPlane=true")
    assert at(yaml.safe_load(new), *METADATA) == "dataPlane=true"
    assert what_changed(text, new)[0] == ""
    assert new.endswith("\n") == text.endswith("\n")
    assert ("\r\n" in new) == ("\r\n" in text) and new.count("\r") in (0, new.count("\n"))


UNIT = "[Unit]\nDescription=one\n\n[Service]\nExecStart=/bin/sh -c 'echo \"#\"'\n"


@pytest.mark.parametrize("name", ["by hand", "windows", "short", "dumped", "dumped, all blocks"])
def test_a_unit_a_drop_in_and_a_file_come_last(name: str) -> None:
    text = LAYOUTS[name]
    before = yaml.safe_load(text)
    new = with_unit(text, "firewall.service", UNIT)
    new = with_drop_in(new, "etcd2.service", "90-more.conf", "[Service]\nRestart=always\n")
    new = with_drop_in(new, "never.service", "90-more.conf", "[Service]\nRestart=no\n")
    new = with_file(new, "/opt/bin/firewall", "#!/bin/sh\n", permissions="0755")
    units = at(yaml.safe_load(new), "coreos", "units")
    was = before["coreos"]["units"]
    drop_ins = [{"name": "90-more.conf", "content": "[Service]\nRestart=always\n"}]
    assert units[0] == {**was[0], "drop-ins": drop_ins}
    assert units[1 : len(was)] == was[1:]
    assert units[len(was) :] == [
        {"name": "firewall.service", "command": "start", "content": UNIT},
        {"name": "never.service", "drop-ins": [{**drop_ins[0], "content": "[Service]\nRestart=no\n"}]},
    ]  # fmt: skip
    file = {"path": "/opt/bin/firewall", "permissions": "0755", "content": "#!/bin/sh\n"}
    assert yaml.safe_load(new)["write_files"] == [*before.get("write_files", []), file]
    assert other_lines(text, new)[0] == []
    assert new.count("\r") == (new.count("\n") if name == "windows" else 0)
    assert with_unit(new, "firewall.service", UNIT) == new
    assert with_file(new, "/opt/bin/firewall", "#!/bin/sh\n") == new


@settings(max_examples=60)
@given(content=st.text(alphabet=st.sampled_from("ab #:|-\n\t\r'\"\\\u2028é"), max_size=30))
def test_any_content_of_a_unit_comes_back(content: str) -> None:
    new = with_unit(FILLED, "one.service", content)
    assert at(yaml.safe_load(new), "coreos", "units", -1, "content") == content
    again = with_unit(new, "one.service", content + "x")
    assert at(yaml.safe_load(again), "coreos", "units", -1, "content") == content + "x"


def test_a_block_is_changed_as_a_block_and_what_is_below_stays() -> None:
    text = with_unit(FILLED, "one.service", "[Unit]\nA=1\n")
    new = with_unit(text, "one.service", "[Unit]\nA=2\n")
    assert what_changed(text, new) == ("1", "2")


BLOCKED = {
    "an alias": "coreos:\n  fleet: &a\n    metadata: x\n  etcd2: *a\n",
    "a shared anchor": "coreos:\n  fleet:\n    metadata: &a x\n  etcd2:\n    proxy: *a\n",
    "an alias at the end": "x: &a b\ncoreos:\n  fleet:\n    y: *a\n  etcd2:\n    z: *a\n",
    "a list": "coreos:\n  etcd2:\n    proxy: [a]\n  fleet:\n    metadata: [a]\n",
    "no section": "coreos: off\n",
    "flow": "coreos: {update: {}}\n",
}


@pytest.mark.parametrize("body", BLOCKED.values(), ids=BLOCKED.keys())
@pytest.mark.parametrize("path", [PROXY, METADATA])
def test_what_cannot_be_changed_by_itself_is_refused_or_right(body: str, path: KeyPath) -> None:
    """Never a text that means something else."""
    before = yaml.safe_load(body)
    try:
        new = set_value(body, path, "new")
    except PreconditionError as refused:
        assert refused.state == "nothing was changed" and refused.do
        return
    after = yaml.safe_load(new)
    assert at(after, *path) == "new"
    other = "fleet" if path == PROXY else "etcd2"
    assert at(before, "coreos").get(other) == at(after, "coreos").get(other)


def test_an_alias_is_refused_with_its_line() -> None:
    with pytest.raises(PreconditionError, match=r"line 2.*alias"):
        set_value(BLOCKED["an alias"], PROXY, "on")


def test_a_block_without_an_end_is_refused_with_a_reason() -> None:
    with pytest.raises(PreconditionError, match="does not end"):
        with_file(FILLED.rstrip("\n"), "/x", "a\n")


def test_a_list_between_brackets_is_refused() -> None:
    with pytest.raises(PreconditionError, match="lines of their own"):
        append_item("coreos:\n  units: [{name: a}]\n", ("coreos", "units"), {"name": "b"})


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("coreos:\n  a: b: c\n", 2, 7),
        ("coreos:\n\ta: b\n", 2, 1),
        ("a: 'b\n", 2, 1),
        ("a: 1\n---\nb: 2\n", 2, 1),
        ("a: \x07\n", 1, 4),
        ("- a\n", 1, 1),
        ("", 1, 1),
    ],
)
def test_what_is_no_yaml_is_told_with_line_and_column(text: str, line: int, column: int) -> None:
    with pytest.raises(NotYamlError) as caught:
        set_value(text, PROXY, "on")
    assert (caught.value.line, caught.value.column) == (line, column)


@settings(max_examples=200)
@given(text=st.text(alphabet=st.sampled_from("ab:-{}[]&*!|>'\"#,? \n\t%@=<1"), max_size=40))
def test_no_text_makes_it_stumble(text: str) -> None:
    try:
        new = set_value(text, ("a", "b"), "new")
    except (NotYamlError, PreconditionError):
        return
    assert at(yaml.safe_load(new), "a", "b") == "new"
