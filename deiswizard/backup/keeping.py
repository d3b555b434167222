"""Which backups are kept. Only verified ones count, and only folders with a manifest of ours go."""

from __future__ import annotations

from collections.abc import Sequence

from deiswizard.backup.data import Manifest


def too_many(
    manifests: Sequence[Manifest], machines: Sequence[str], keep: int
) -> tuple[Manifest, ...]:
    """The verified backups of this cluster beyond the ``keep`` newest, the oldest first.

    ``keep`` 0: all are kept. The newest verified one is never among them.
    """
    if keep < 1:
        return ()
    ours = [m for m in manifests if m.verified_at and set(m.machines) & set(machines)]
    ours.sort(key=lambda manifest: (manifest.verified_at, manifest.backup), reverse=True)
    return tuple(reversed(ours[keep:]))
