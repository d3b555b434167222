"""Conditions that guards check and waits await: questions with a yes or no, as data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from deiswizard.frozen import Frozen


class CommandSays(Frozen):
    """A read-only command on a host ends with 0 and its output matches ``pattern`` (re.search)."""

    kind: Literal["command-says"] = "command-says"
    host: str
    command: str
    pattern: str
    sudo: bool = False


class KeyIs(Frozen):
    """An etcd key has exactly this value; None: it is absent."""

    kind: Literal["key-is"] = "key-is"
    key: str
    value: str | None


class ImagePresent(Frozen):
    """The host's Docker engine has the image in its local store."""

    kind: Literal["image-present"] = "image-present"
    host: str
    image: str


class DiskRoom(Frozen):
    """The file system that holds ``path`` has at least ``needed`` bytes free."""

    kind: Literal["disk-room"] = "disk-room"
    host: str
    path: str
    needed: int


Condition = Annotated[CommandSays | KeyIs | ImagePresent | DiskRoom, Field(discriminator="kind")]
