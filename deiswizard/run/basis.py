"""Is the cluster still what the plan was made from? Read again before anything runs."""

from __future__ import annotations

from deiswizard.cluster.access import ClusterAccess
from deiswizard.plan.plan import Basis


def differences(basis: Basis, access: ClusterAccess) -> tuple[str, ...]:
    """One sentence for each thing that has changed; empty when nothing has.

    Raises:
        WizardError: it could not be read, which is no permission to go on.
    """
    found: list[str] = []
    etcd = access.etcd() if basis.keys else None
    for key in basis.keys:
        assert etcd is not None
        now = etcd.get(key.key)
        if now is None and key.index:
            found.append(f"{key.key} was removed")
        elif now is not None and not key.index:
            found.append(f"{key.key} was made: it is now {_shown(now.value)}")
        elif now is not None and now.index != key.index:
            found.append(f"{key.key} was written: it is now {_shown(now.value)}")
    for file in basis.files:
        checksum = access.host(file.host).checksum(file.path, sudo=True) or ""
        if checksum != file.sha256:
            what = "removed" if not checksum else "made" if not file.sha256 else "changed"
            found.append(f"{file.path} on {file.host} was {what}")
    if basis.machines:
        machines = access.machine_ids()
        found += [f"host {name[:8]} has joined" for name in sorted(machines - set(basis.machines))]
        found += [f"host {name[:8]} has left" for name in sorted(set(basis.machines) - machines)]
    return tuple(found)


def _shown(value: str | None) -> str:
    return "another value" if value is None else f"'{value}'"
