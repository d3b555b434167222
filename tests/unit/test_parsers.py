"""Small parsers: fleet's registry, the probe's sections, image names, text for screens."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deiswizard.cluster import fleet
from deiswizard.cluster.image_names import normalised, registry_of, split_tag
from deiswizard.cluster.probe_script import (
    COMPONENTS,
    new_marker,
    parse_df,
    parse_script_images,
    parse_versions,
    release_value,
    script,
    sections,
)
from deiswizard.cluster.snapshot import KeyFact
from deiswizard.demo.cluster import PretendCluster
from deiswizard.run.progress import PullLines
from deiswizard.screens.text import ago, clean, cut, fit, in_bytes, in_time
from tests.recordings import DEISCTL, FLEET, recording


def fact(key: str, value: object) -> KeyFact:
    return KeyFact(key=f"{fleet.PREFIX}{key}", value=json.dumps(value))


def test_machines_are_read_and_sorted_by_address() -> None:
    facts = [
        fact("/machines/b/object", {"ID": "b", "PublicIP": "10.0.0.11", "Metadata": {"x": "1"}}),
        fact("/machines/a/object", {"ID": "a", "PublicIP": "10.0.0.2", "Metadata": None}),
        KeyFact(key=f"{fleet.PREFIX}/machines/c/object", value="not json"),
    ]
    assert [m.id for m in fleet.machines(facts)] == ["a", "b"]
    assert fleet.machines(facts)[1].metadata == (("x", "1"),)


def test_units_carry_what_decides_where_they_may_run() -> None:
    raw = (
        "[Unit]\nConflicts=no\n[X-Fleet]\nGlobal=true\nConflicts=deis-router@*.service\n"
        'MachineMetadata="controlPlane=true"\n# Global=false\n'
    )
    digest = list(range(20))
    name = "".join(f"{byte:02x}" for byte in digest)
    facts = [
        fact("/job/deis-router@1.service/object", {"Name": "x", "UnitHash": digest}),
        KeyFact(key=f"{fleet.PREFIX}/job/deis-router@1.service/target-state", value="launched"),
        fact(f"/unit/{name}", {"Raw": raw}),
        fact(
            "/states/deis-router@1.service/m1",
            {"loadState": "loaded", "activeState": "active", "subState": "running"},
        ),
    ]
    (unit,) = fleet.units(facts)
    assert unit.is_global and unit.desired == "launched"
    assert unit.conflicts == ("deis-router@*.service",)
    assert unit.machine_metadata == ('"controlPlane=true"',)
    (state,) = fleet.unit_states(facts)
    assert state.is_running and state.machine_id == "m1"


@given(st.text(), st.text())
def test_no_registry_content_raises(key: str, value: str) -> None:
    facts = [
        KeyFact(key=f"{fleet.PREFIX}/{kind}/{key}/object", value=value)
        for kind in ("machines", "job")
    ]
    facts += [KeyFact(key=f"{fleet.PREFIX}/states/{key}/m", value=value)]
    fleet.machines(facts), fleet.units(facts), fleet.unit_states(facts)


def test_recorded_versions_are_found() -> None:
    said = {
        name: recording(DEISCTL, f"ver-{name}").out for name in ("fleetctl", "etcdctl", "deisctl")
    }
    versions = parse_versions(
        {
            "fleet": said["fleetctl"],
            "etcd": said["etcdctl"],
            "deisctl": said["deisctl"],
            "systemd": "systemd 229\n+PAM",
        }
    )
    assert (versions.fleet, versions.etcd, versions.deisctl, versions.systemd) == (
        "0.11.7",
        "2.3.8",
        "1.13.4",
        "229",
    )


def test_recorded_image_names_are_read() -> None:
    out = recording(FLEET, "get_image-image").out.strip()
    assert parse_script_images({"image router": out}) == (("router", out),)


@given(
    st.dictionaries(
        st.sampled_from(["name", "os", "disk"]),
        st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"])),
    )
)
def test_sections_come_back_whatever_they_hold(printed: dict[str, str]) -> None:
    marker = new_marker()
    output = "".join(f"{marker} {name}\n{text}\n" for name, text in printed.items())
    found = sections(marker, output)
    assert set(found) == set(printed)
    for name, text in printed.items():
        assert found[name] == "\n".join(text.splitlines()).strip()


def test_remote_text_cannot_pretend_to_be_a_section() -> None:
    assert sections("section-1", "section-1 a\nsection-2 b\nx") == {"a": "section-2 b\nx"}


def test_the_probes_script_runs_on_a_pretend_host_without_an_unknown_command() -> None:
    with PretendCluster.start("three", speed=50) as cluster:
        import threading

        out: list[str] = []
        marker = new_marker()
        cluster.hosts[0].execute(
            script(marker), out.append, lambda text: None, b"", threading.Event()
        )
        found = sections(marker, "".join(out))
        assert cluster.unknown_commands == ()
    assert found["name"] == "deis-1" and found["preseed"] == "there"
    assert {name.removeprefix("image ") for name in found if name.startswith("image ")} == set(
        COMPONENTS
    )
    disk = parse_df(found["disk"])
    assert disk is not None and disk.free < disk.size
    assert release_value(found["deis"], "DEIS_RELEASE") == "v1.13.4"


@pytest.mark.parametrize("text", ["", "df: no such file", "Filesystem a b c d e\n/dev/x 1 2"])
def test_df_that_makes_no_sense_is_no_disk(text: str) -> None:
    assert parse_df(text) is None


@pytest.mark.parametrize(
    ("name", "repository", "tag", "registry"),
    [
        ("deis/router:v1.13.4", "deis/router", "v1.13.4", "docker.io"),
        ("alpine", "alpine", "latest", "docker.io"),
        (
            "registry.local:5000/deis/router",
            "registry.local:5000/deis/router",
            "latest",
            "registry.local:5000",
        ),
        ("localhost/x:1", "localhost/x", "1", "localhost"),
        ("a/b@sha256:00", "a/b", "sha256:00", "docker.io"),
    ],
)
def test_image_names_are_taken_apart(name: str, repository: str, tag: str, registry: str) -> None:
    assert split_tag(name) == (repository, tag)
    assert registry_of(name) == registry


def test_two_spellings_of_one_image_are_equal() -> None:
    assert normalised("docker.io/library/alpine") == normalised("alpine:latest")
    assert normalised("docker.io/deis/router:v1") == "deis/router:v1"


def test_a_pull_without_terminal_is_followed_line_by_line() -> None:
    reader = PullLines("s", ["reg:5000/deis/router:v1", "deis/builder:v1"], lambda: 1.0)
    lines = [
        "v1: Pulling from deis/router",
        "a3ed95caeb02: Pulling fs layer",
        "a3ed95caeb02: Pull complete",
        "Digest: sha256:00",
        "Status: Downloaded newer image for reg:5000/deis/router:v1",
        "noise",
    ]
    events = [event for line in lines if (event := reader.read(line))]
    assert [event.kind for event in events] == [
        "layer-progressed",
        "layer-progressed",
        "image-checked",
    ]
    assert {getattr(event, "image") for event in events} == {"reg:5000/deis/router:v1"}  # noqa: B009


@given(st.text())
def test_any_line_can_be_read(line: str) -> None:
    PullLines("s", ["deis/router:v1"], lambda: 1.0).read(line)


@given(st.text())
def test_remote_text_becomes_one_printable_line(text: str) -> None:
    shown = clean(text)
    assert all(char.isprintable() for char in shown) and len(shown) <= 2000


@given(st.text(), st.integers(0, 200))
def test_cells_have_the_width_they_should(text: str, width: int) -> None:
    assert len(cut(text, width)) <= width
    assert len(fit(text, width)) == width


def test_escape_sequences_do_not_reach_the_screen() -> None:
    assert clean("\x1b[31mred\x1b[0m\x1b]0;title\x07 [/foo] [b +") == "red [/foo] [b +"
    assert len(clean("x" * 100_000)) == 2000


def test_sizes_and_times_are_readable() -> None:
    assert [in_bytes(n) for n in (900, 5_300_000, 4_100_000_000)] == ["1 kB", "5 MB", "4.1 GB"]
    assert [in_time(s) for s in (7, 124, 3900)] == ["7 s", "2 min 04 s", "1 h 05 min"]
    assert [ago(s) for s in (12, 180, 9000)] == ["12 s ago", "3 min ago", "2 h ago"]
