"""``deiswizard userdata`` as a user meets it: output, exit codes, refusals, what lies in the folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deiswizard.cli import main
from deiswizard.userdata.reading import read
from tests.userdata.layouts import BY_HAND, FILLED, URL

TOKEN = URL.rpartition("/")[2]
LISTED = ["--members", "a=http://10.0.0.1:2380,10.0.0.2", "--size", "2"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "user-data"
    path.write_bytes(FILLED.encode())
    return path


def said(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    assert TOKEN not in captured.out + captured.err
    assert "Traceback" not in captured.err
    return captured.out, captured.err


def test_a_good_file_has_nothing_on_stdout(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["userdata", str(file), "--check"]) == 0
    out, err = said(capsys)
    assert out == "" and "nothing is wrong" in err


def test_what_is_wrong_is_one_line_each(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = BY_HAND.replace("    data-dir", "    proxy: on\n    data-dir").replace(
        ",disk=ssd", ",ssd"
    )
    file.write_text(text)
    assert main(["userdata", str(file), "--check"]) == 2
    out, err = said(capsys)
    rows = out.splitlines()
    assert [row.split(": ")[0] for row in rows] == [f"{file}:7", f"{file}:13", f"{file}:18"]
    assert "warning: fleet passes over 'ssd'" in rows[2] and err == ""
    assert main(["userdata", str(file), "--check", "--json"]) == 2
    problems = json.loads(said(capsys)[0])["problems"]
    assert [(p["line"], p["blocks"]) for p in problems] == [(7, True), (13, True), (18, False)]


def test_a_preview_writes_nothing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["userdata", str(file), "--etcd", "proxy", *LISTED]) == 0
    out, err = said(capsys)
    assert out.startswith("user-data-proxy:\n@ lines 4 to ")
    assert (
        '+     discovery: ""\n' in out
        and "-     discovery: https://discovery.etcd.io/<secret>" in out
    )
    assert "2 listed members" in err
    assert sorted(path.name for path in file.parent.iterdir()) == ["user-data"]


def test_one_file_for_each_role(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = file.parent / "roles"
    words = [
        "--etcd",
        "member",
        "--planes",
        "control",
        "--etcd",
        "proxy",
        "--planes",
        "data,router",
    ]
    assert main(["userdata", str(file), *words, *LISTED, "-o", str(folder)]) == 0
    out, _ = said(capsys)
    member, proxy = folder / "user-data-member-control", folder / "user-data-proxy-data-router"
    assert out.splitlines() == [str(member), str(proxy)]
    assert sorted(folder.iterdir()) == [member, proxy]
    assert {path.stat().st_mode & 0o777 for path in (member, proxy)} == {0o600}
    one, other = read(member.read_text()), read(proxy.read_text())
    assert (one.proxy, one.planes, one.discovery) == ("", ("control",), URL)
    assert (other.proxy, other.planes, other.discovery) == ("on", ("data", "router"), "")
    assert file.read_bytes() == FILLED.encode()


def test_nothing_is_overwritten_without_being_told(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "userdata",
        str(file),
        *["--planes", "control", "--planes", "data"],
        "-o",
        str(file.parent),
    ]
    (there := file.parent / "user-data-data").write_text("mine")
    assert main(words) == 1
    out, err = said(capsys)
    assert out == "" and "user-data-data is there already" in err and "--force" in err
    assert there.read_text() == "mine" and not (file.parent / "user-data-control").exists()
    assert main([*words, "--force"]) == 0
    assert read(there.read_text()).planes == ("data",)
    assert there.stat().st_mode & 0o777 == 0o600


def test_the_file_itself_comes_through_byte_for_byte(file: Path) -> None:
    content = FILLED.replace("\n", "\r\n").rstrip("\r\n").encode()
    file.write_bytes(content)
    assert main(["userdata", str(file), "--planes", "control", "-o", str(file.parent)]) == 0
    made = (file.parent / "user-data-control").read_bytes()
    gone = b"controlPlane=true,dataPlane=true,routerMesh=true"
    assert made == content.replace(gone, b"controlPlane=true")


def test_the_url_comes_from_the_environment(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(BY_HAND)
    words = ["userdata", str(file), "--etcd", "member", "--discovery", "-o", str(file.parent)]
    assert main(words) == 2
    assert "DEISWIZARD_SECRET_DISCOVERY" in said(capsys)[1]
    monkeypatch.setenv("DEISWIZARD_SECRET_DISCOVERY", f"ftp://x/{TOKEN}")
    assert main(words) == 2
    assert "no web address" in said(capsys)[1]
    monkeypatch.setenv("DEISWIZARD_SECRET_DISCOVERY", URL)
    assert main(words) == 0
    said(capsys)
    assert (file.parent / "user-data-member").read_bytes() == FILLED.encode()


def test_files_that_would_not_work_are_not_written(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(BY_HAND)
    assert main(["userdata", str(file), "--planes", "control", "-o", str(file.parent / "x")]) == 2
    out, err = said(capsys)
    assert out == "" and "user-data-control:7: #DISCOVERY_URL is still there" in err
    assert not (file.parent / "x").exists()


def test_json_has_the_changes(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["userdata", str(file), "--planes", "data", "--json"]) == 0
    (made,) = json.loads(said(capsys)[0])
    assert made["role"] == "data" and made["path"] is None and made["problems"] == []
    signs = [line for line in made["changes"] if line["sign"] in "+-"]
    assert [(line["sign"], line["before"], line["after"]) for line in signs] == [
        ("-", 17, None),
        ("+", None, 17),
    ]


WRONG = [
    ("", 2, "no role was named"),
    ("--check --size 0", 2, "cannot have 0 members"),
    ("--check --etcd proxy", 2, "makes no files"),
    ("--planes control,mesh", 2, "there is no plane 'mesh'"),
    ("--planes ,", 2, "of no plane"),
    ("--etcd member --etcd proxy --planes data --planes data --planes control", 2, "do not go together"),
    ("--etcd member --etcd member", 2, "named twice"),
    ("--etcd proxy --members somewhere", 2, "is no member of etcd"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "code", "why"), WRONG)
def test_wrong_words(
    file: Path, words: str, code: int, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["userdata", str(file), *words.split()]) == code
    out, err = said(capsys)
    assert out == "" and why in err and "do:" in err


def test_one_role_of_etcd_goes_with_all_planes(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--etcd", "proxy", "--planes", "data", "--planes", "router", "-o", str(file.parent)]
    assert main(["userdata", str(file), *words]) == 0
    assert said(capsys)[0].split() == [
        str(file.parent / f"user-data-proxy-{plane}") for plane in ("data", "router")
    ]


@pytest.mark.parametrize(
    ("content", "code", "why"),
    [
        (b"#cloud-config\na: \xff\n", 2, "2: not UTF-8"),
        (b"#cloud-config\na: b: c\n", 2, "user-data:2:5: not YAML"),
        (b"#cloud-confg\ncoreos: {}\n", 2, "'#cloud-confg'"),
        (None, 1, "cannot be read"),
    ],
)
def test_files_that_cannot_be_used(
    content: bytes | None, code: int, why: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    assert main(["userdata", str(file), "--etcd", "member"]) == code
    assert why in said(capsys)[1]


def test_a_folder_that_is_none(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["userdata", str(file), "--planes", "data", "-o", str(file)]) == 1
    assert "cannot be written" in said(capsys)[1]
