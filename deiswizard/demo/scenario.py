"""Scenarios: what a pretend cluster is like when it starts, as data in ``assets/demo-*.yaml``."""

from __future__ import annotations

from importlib import resources
from typing import Literal

import yaml
from pydantic import Field

from deiswizard.errors import AnswersError
from deiswizard.frozen import Frozen

PREFIX, SUFFIX = "demo-", ".yaml"


class Scenario(Frozen):
    """A pretend cluster before anything is done to it. Hosts are named deis-1, deis-2 ...

    ``metadata`` is what a host carries in fleet besides its planes. ``platform`` False: Deis is not
    installed yet; ``stateless``: it has no Ceph and no database of its own. ``members`` are how many hosts
    etcd's discovery made members (0: all); ``etcd_data`` is its data directory; ``graceful``: a host leaves
    etcd when it is shut down, ``graceful_ceph``: Ceph. ``role`` is the hosts' instance role on EC2. ``images`` says which images a host has: those of the components that run there, or all.
    """

    title: str
    hosts: int = 3
    members: int = 0
    release: str = "v1.13.4"
    images: dict[str, Literal["running", "all"]] = Field(default_factory=dict)
    registration: str | None = "enabled"
    admins: int = 1
    store_mount: bool = True
    down: tuple[str, ...] = ()
    changed_keys: tuple[str, ...] = ()
    almost_full: tuple[str, ...] = ()
    etcd_data: str = "/var/lib/etcd2"
    graceful: bool = False
    graceful_ceph: bool = False
    role: str = ""
    wrong_release: dict[str, str] = Field(default_factory=dict)
    no_etcdctl: tuple[str, ...] = ()
    store_admin: bool = False
    platform: bool = True
    ceph: str = "HEALTH_OK"
    stateless: bool = False
    keys: dict[str, str] = Field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = Field(default_factory=dict)


def names() -> tuple[str, ...]:
    """The scenarios there are."""
    files = (entry.name for entry in resources.files("deiswizard.assets").iterdir())
    return tuple(
        sorted(
            name.removeprefix(PREFIX).removesuffix(SUFFIX)
            for name in files
            if name.startswith(PREFIX) and name.endswith(SUFFIX)
        )
    )


def load(name: str) -> Scenario:
    """The scenario of that name. Raises AnswersError when there is none."""
    if name not in names():
        raise AnswersError(
            f"there is no scenario '{name}'", do=f"choose one of: {', '.join(names())}"
        )
    text = resources.files("deiswizard.assets").joinpath(f"{PREFIX}{name}{SUFFIX}").read_text()
    return Scenario.model_validate(yaml.safe_load(text))
