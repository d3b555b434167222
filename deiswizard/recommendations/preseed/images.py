"""Which images a cluster needs, and how they are named (deis-facts 4)."""

from __future__ import annotations

from deiswizard.cluster.image_names import split_tag
from deiswizard.cluster.probe_script import COMPONENTS
from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.frozen import Frozen
from deiswizard.recommendations.deis_units import short

STORE = ("store-daemon", "store-gateway", "store-metadata", "store-monitor")
STATEFUL = (*STORE, "database")
STORE_ADMIN = "store-admin"
DATA_IMAGE = "alpine:3.2"
"""What the components' data containers are made from."""

TYPICAL_SIZE = 150_000_000
"""Bytes, for an image that no host of the cluster has yet."""


class NeededImage(Frozen):
    """An image and the component that needs it. ``source`` names what decided the name."""

    component: str
    name: str
    source: str


def components_in_use(snapshot: Snapshot) -> tuple[str, ...]:
    """The components whose units fleet has; all twelve when Deis is not installed yet.

    A stateless cluster has no store and no database, though the host's own script pulls them.
    """
    installed = {
        short(unit.name).partition("@")[0]
        for unit in snapshot.units
        if unit.name.startswith("deis-")
    }
    used = tuple(name for name in (*COMPONENTS, STORE_ADMIN) if name in installed)
    return used or COMPONENTS


def release_of(snapshot: Snapshot, host: HostFacts | None = None) -> tuple[str, str]:
    """The image tag and where it comes from: ``/deis/platform/version``, else the host's file."""
    if version := snapshot.value("/deis/platform/version"):
        return version, "/deis/platform/version"
    hosts = [host] if host else list(snapshot.hosts)
    for candidate in hosts:
        if candidate.deis_release:
            return candidate.deis_release, f"/etc/deis-release on {candidate.name}"
    return "", ""


def image_of(snapshot: Snapshot, component: str) -> NeededImage | None:
    """The image of a component as it should be; None when no release is known."""
    key = f"/deis/{component}/image"
    if image := snapshot.value(key):
        return NeededImage(component=component, name=image, source=key)
    release, source = release_of(snapshot)
    if not release:
        return None
    return NeededImage(component=component, name=f"deis/{component}:{release}", source=source)


def needed_images(snapshot: Snapshot) -> tuple[NeededImage, ...]:
    """Every image that the components in use need."""
    found = (image_of(snapshot, name) for name in components_in_use(snapshot))
    return tuple(image for image in found if image is not None)


def is_mutable(name: str) -> bool:
    """A tag that names no fixed build: having it does not mean having the newest."""
    return split_tag(name)[1] in ("latest", "master", "stable")


def sizes(snapshot: Snapshot) -> dict[str, int]:
    """Bytes of each image that some host has already, by tag."""
    return {
        tag: image.size
        for host in snapshot.hosts
        for image in host.images or ()
        for tag in image.tags
        if image.size
    }


def wrong_script_names(snapshot: Snapshot) -> tuple[tuple[HostFacts, str, str, str], ...]:
    """Where the host's own get_image answers something else: (host, component, says, should be).

    It falls back to the default name without a word when etcd cannot be reached.
    """
    wrong = []
    for host in snapshot.reachable_hosts:
        says = dict(host.script_images)
        for image in needed_images(snapshot):
            if image.component in says and says[image.component] != image.name:
                wrong.append((host, image.component, says[image.component], image.name))
    return tuple(wrong)
