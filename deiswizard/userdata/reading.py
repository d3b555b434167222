"""What matters of a user-data file, typed."""

from __future__ import annotations

from dataclasses import dataclass, field

from yaml.nodes import Node, ScalarNode, SequenceNode

from deiswizard.userdata import metadata
from deiswizard.userdata.members import Member, members_in
from deiswizard.userdata.nodes import BOOL, find, parsed, text_at


@dataclass(frozen=True)
class DropIn:
    """A part of a unit that is kept in a file of its own."""

    name: str
    content: str


@dataclass(frozen=True)
class Unit:
    """A systemd unit that the file writes, changes, or starts."""

    name: str
    content: str = ""
    command: str = ""
    is_enabled: bool = False
    is_masked: bool = False
    drop_ins: tuple[DropIn, ...] = ()


@dataclass(frozen=True)
class UserData:
    """The view of a file. Empty: not there. Words are as written: a bare ``on`` is ``on`` here."""

    proxy: str
    discovery: str = field(repr=False)
    members: tuple[Member, ...]
    client_urls: tuple[str, ...]
    data_dir: str
    metadata: str
    planes: tuple[str, ...]
    reboot_strategy: str
    units: tuple[Unit, ...]
    files: tuple[DropIn, ...]
    """``write_files``, each by its path."""


def read(text: str) -> UserData:
    """The view of a text. Raises NotYamlError; what is wrong beyond that is for ``checks.check``."""
    root = parsed(text).root
    etcd2 = ("coreos", "etcd2")
    said = text_at(root, ("coreos", "fleet", "metadata"))
    urls = text_at(root, (*etcd2, "listen_client_urls")).split(",")
    return UserData(
        proxy=text_at(root, (*etcd2, "proxy")),
        discovery=text_at(root, (*etcd2, "discovery")),
        members=members_in(text_at(root, (*etcd2, "initial_cluster")))[0],
        client_urls=tuple(url.strip() for url in urls if url.strip()),
        data_dir=text_at(root, (*etcd2, "data_dir")),
        metadata=said,
        planes=metadata.planes_of(said),
        reboot_strategy=text_at(root, ("coreos", "update", "reboot_strategy")),
        units=tuple(_unit(node) for node in items(find(root, ("coreos", "units")))),
        files=tuple(
            DropIn(text_at(node, ("path",)), text_at(node, ("content",)))
            for node in items(find(root, ("write_files",)))
        ),
    )


def items(node: Node | None) -> tuple[Node, ...]:
    """The entries of a list; none where there is no list."""
    return tuple(node.value) if isinstance(node, SequenceNode) else ()


def is_true(node: Node | None) -> bool:
    """Whether YAML reads true there."""
    yes = ("true", "yes", "on")
    return isinstance(node, ScalarNode) and node.tag == BOOL and node.value.lower() in yes


def _unit(node: Node) -> Unit:
    return Unit(
        name=text_at(node, ("name",)),
        content=text_at(node, ("content",)),
        command=text_at(node, ("command",)),
        is_enabled=is_true(find(node, ("enable",))),
        is_masked=is_true(find(node, ("mask",))),
        drop_ins=tuple(
            DropIn(text_at(one, ("name",)), text_at(one, ("content",)))
            for one in items(find(node, ("drop_ins",)))
        ),
    )
