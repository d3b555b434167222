"""Units, drop-ins and files that a user-data file is to have as well."""

from __future__ import annotations

from deiswizard.errors import AnswersError
from deiswizard.userdata.nodes import KeyPath, find, parsed, text_at
from deiswizard.userdata.reading import items, read
from deiswizard.userdata.splice import append_item, set_value
from deiswizard.userdata.writing import Item

UNITS: KeyPath = ("coreos", "units")
FILES: KeyPath = ("write_files",)


def with_unit(
    text: str, name: str, content: str, *, command: str = "start", enable: bool = False
) -> str:
    """The text with a unit of this content, started by cloudinit, and (``enable``) at boot. One that is there gets the content, and keeps the rest.

    Raises:
        NotYamlError, PreconditionError: as ``splice.set_value``.
    """
    enabled: Item = {"enable": True} if enable else {}
    return _with(text, UNITS, {"name": name, "command": command, **enabled, "content": content})


def with_unit_off(text: str, name: str) -> str:
    """The text with a unit that neither cloudinit starts nor systemd at boot; what it is stays there.

    Raises:
        NotYamlError, PreconditionError: as ``splice.set_value``.
    """
    at = index_of(text, UNITS, "name", name)
    if at is None:
        return text
    unit = read(text).units[at]
    if unit.is_enabled:
        text = set_value(text, (*UNITS, at, "enable"), False)
    if unit.command:
        text = set_value(text, (*UNITS, at, "command"), "")
    return text


def with_drop_in(text: str, unit: str, name: str, content: str) -> str:
    """The text with a drop-in of a unit; the unit is named if it was not there.

    Raises:
        NotYamlError, PreconditionError: as ``splice.set_value``.
    """
    drop_in: Item = {"name": name, "content": content}
    at = index_of(text, UNITS, "name", unit)
    if at is None:
        return append_item(text, UNITS, {"name": unit, "drop-ins": [drop_in]})
    return _with(text, (*UNITS, at, "drop-ins"), drop_in)


def with_file(text: str, path: str, content: str, *, permissions: str = "0644") -> str:
    """The text with a file that the host writes at each start.

    Raises:
        AnswersError: ``path`` is not absolute.
        NotYamlError, PreconditionError: as ``splice.set_value``.
    """
    if not path.startswith("/"):
        raise AnswersError(f"'{path}' is no absolute path", do="begin it with /")
    return _with(text, FILES, {"path": path, "permissions": permissions, "content": content})


def index_of(text: str, path: KeyPath, key: str, value: str) -> int | None:
    """Where in a list the entry stands whose ``key`` is ``value``; of several the last."""
    entries = items(find(parsed(text).root, path))
    found = [at for at, node in enumerate(entries) if text_at(node, (key,)) == value]
    return found[-1] if found else None


def _with(text: str, path: KeyPath, fields: Item) -> str:
    """The list at ``path`` with this entry, which the first of ``fields`` tells from others."""
    key, value = next(iter(fields.items()))
    at = index_of(text, path, key, str(value))
    if at is None:
        return append_item(text, path, fields)
    return set_value(text, (*path, at, "content"), str(fields["content"]))
