"""Whether the user-data files are there, would work, and give a host its role."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from deiswizard.local_files import read_file
from deiswizard.recommendations.provisioning import ProvisioningChoices
from deiswizard.run.events import Check
from deiswizard.userdata.checks import check
from deiswizard.userdata.edits import RoleEdits
from deiswizard.userdata.nodes import NotYamlError
from deiswizard.userdata.reading import UserData, read
from deiswizard.wording import counted, few


def verify(choices: ProvisioningChoices, roles: Sequence[RoleEdits]) -> tuple[Check, ...]:
    """By reading every file anew, from this machine."""
    return tuple(_check(Path(choices.user_data_folder) / one.file_name, one) for one in roles)


def _check(path: Path, edits: RoleEdits) -> Check:
    title = f"{path} is there, valid, and for {edits.name.replace('-', ', ')}"
    content, problem = read_file("user_data_folder", str(path))
    if content is None:
        return Check(title=title, ok=False, evidence=problem.what if problem else "not read")
    text = content.decode("utf-8", "replace")
    if wrong := [one for one in check(text) if one.blocks]:
        return Check(title=title, ok=False, evidence=wrong[0].said(path.name))
    try:
        found = read(text)
    except NotYamlError as error:
        return Check(title=title, ok=False, evidence=str(error))
    mode = path.stat().st_mode & 0o777
    faults = [*_faults(found, edits), *([f"its mode is {mode:04o}"] if mode & 0o077 else [])]
    evidence = "; ".join(faults) or ", ".join([*_said(found, edits), f"mode {mode:04o}"])
    return Check(title=title, ok=not faults, evidence=evidence)


def _faults(found: UserData, edits: RoleEdits) -> Iterator[str]:
    is_proxy = found.proxy == "on"
    if edits.etcd is not None and is_proxy != (edits.etcd == "proxy"):
        yield f"proxy is '{found.proxy}'"
    if edits.members and {m.peer_url for m in found.members} != {url for _, url in edits.members}:
        yield f"initial-cluster lists {counted(len(found.members), 'member')}"
    if edits.planes and set(found.planes) != set(edits.planes):
        yield f"its planes are {', '.join(found.planes) or 'none'}"

    contents = {file.name: file.content for file in found.files}
    contents |= {unit.name: unit.content for unit in found.units}
    wanted = {
        **{f.path: f.content for f in edits.files},
        **{u.name: u.content for u in edits.units},
    }
    started = {unit.name for unit in found.units if unit.is_enabled or unit.command == "start"}
    if on := [name for name in edits.off if name in started]:
        yield f"it starts {few(on)}"
    if wrong := [name for name, content in wanted.items() if contents.get(name) != content]:
        yield f"missing or not as it should be: {few(wrong)}"


def _said(found: UserData, edits: RoleEdits) -> Iterator[str]:
    if edits.etcd is not None:
        yield f"proxy is '{found.proxy or 'off'}'"
    if edits.members:
        yield f"initial-cluster lists {counted(len(found.members), 'member')}"
    if edits.planes:
        yield f"metadata is {found.metadata}"
    if edits.off:
        yield f"it does not start {few(edits.off)}"
    if edits.files:
        yield f"{counted(len(edits.files), 'file')} and {counted(len(edits.units), 'unit')} of the firewall"
