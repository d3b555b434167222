"""Image names as Docker understands them."""

from __future__ import annotations

HUB_PREFIXES = (
    "docker.io/library/",
    "index.docker.io/library/",
    "docker.io/",
    "index.docker.io/",
    "library/",
)


def split_tag(name: str) -> tuple[str, str]:
    """``registry:5000/a/b:tag`` -> (``registry:5000/a/b``, ``tag``); the tag defaults to ``latest``.

    A digest (``name@sha256:...``) comes back whole as the tag ``sha256:...``.
    """
    if "@" in name:
        repository, _, digest = name.partition("@")
        return repository, digest
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, "latest"
    return repository, tag


def normalised(name: str) -> str:
    """The one spelling under which two names of the same image are equal."""
    repository, tag = split_tag(name)
    for prefix in HUB_PREFIXES:
        if repository.startswith(prefix):
            repository = repository[len(prefix) :]
            break
    separator = "@" if tag.startswith("sha256:") else ":"
    return f"{repository}{separator}{tag}"


def registry_of(name: str) -> str:
    """The registry host (``registry.local:5000``) of an image name, ``docker.io`` for the Hub."""
    repository, _ = split_tag(name)
    first, slash, _ = repository.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return "docker.io" if first in ("docker.io", "index.docker.io") else first
    return "docker.io"
