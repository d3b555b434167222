"""The rules of the house that a machine can watch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = [
    path
    for folder in ("deiswizard", "screens", "tests", "bench", "scripts")
    for path in (ROOT / folder).rglob("*.py")
    if "deiswizard/screens" not in str(path) and "deiswizard/assets" not in str(path)
]
HEAVY = ("textual", "rich", "paramiko", "docker", "etcd", "pydantic", "yaml", "cryptography")
ENGINE = (
    "deiswizard.session",
    "deiswizard.answers",
    "deiswizard.plain",
    "deiswizard.commands.check",
    "deiswizard.commands.apply",
    "deiswizard.demo.cluster",
    "deiswizard.recommendations.catalogue",
    "deiswizard.commands.userdata",
)


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(' '.join({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("flag", ["--version", "--help"])
def test_version_and_help_import_nothing_heavy(flag: str) -> None:
    statement = (
        f"import deiswizard.cli\ntry: deiswizard.cli.main(['{flag}'])\nexcept SystemExit: pass"
    )
    assert not loaded_by(statement) & set(HEAVY)


def test_the_first_frame_waits_for_no_protocol() -> None:
    loaded = loaded_by("import deiswizard.commands.guided, deiswizard.screens.app")
    assert not loaded & {"paramiko", "docker", "etcd", "cryptography"}


@pytest.mark.parametrize("module", ENGINE)
def test_the_engine_loads_no_screen(module: str) -> None:
    assert not loaded_by(f"import {module}") & {"textual", "rich"}


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in SOURCES
        if (count := len(path.read_text().splitlines())) > 400
    }
    assert not long


def test_the_demo_is_known_only_to_itself_and_the_command_line() -> None:
    tellers = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.is_relative_to(ROOT / "deiswizard") or path.is_relative_to(ROOT / "screens")
        if "deiswizard.demo" in path.read_text()
    ]
    allowed = ("deiswizard/demo/", "deiswizard/commands/demo.py", "deiswizard/commands/opening.py")
    assert [name for name in tellers if not name.startswith(allowed)] == []


def test_screens_hand_no_remote_text_to_markup() -> None:
    """``Static`` and ``notify`` parse markup unless told not to; Content never does."""
    offenders = []
    for path in (ROOT / "screens").rglob("*.py"):
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines, 1):
            call = " ".join(lines[number - 1 : number + 7])
            if "Static(" in line and "markup=False" not in call and "class " not in line:
                offenders.append(f"{path.name}:{number}")
            if "notify(" in line and "markup=False" not in call:
                offenders.append(f"{path.name}:{number}")
            if "from_markup" in line:
                offenders.append(f"{path.name}:{number}")
    assert offenders == []
