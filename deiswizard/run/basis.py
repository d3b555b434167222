"""Is the cluster still what the plan was made from? Read again before anything runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from deiswizard.cluster.access import ClusterAccess
from deiswizard.cluster.fleet import PREFIX, job_key
from deiswizard.plan.etcd_steps import AddMemberStep, RemoveMemberStep
from deiswizard.plan.fleet_steps import DestroyUnitStep, SubmitUnitStep
from deiswizard.plan.plan import Basis, Plan
from deiswizard.plan.step import SECRET, CopyKeyStep, RemoveKeyStep, UploadStep, WriteKeyStep
from deiswizard.run.state import RunState


@dataclass(frozen=True)
class Own:
    """What a run that is taken up again may have changed itself: keys to values (None: removed),
    (host, path) to checksums; peer URLs of etcd members that came or went. Values with secrets are
    not known here: ``ANYTHING``.
    """

    keys: Mapping[str, frozenset[str | None]] = field(default_factory=dict)
    files: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    members: frozenset[str] = frozenset()


NOTHING = Own()
ANYTHING = "${secret}"


def own_changes(plan: Plan, state: RunState) -> Own:
    """What the steps that were begun so far have changed, or may have."""
    keys: dict[str, frozenset[str | None]] = {}
    files: dict[tuple[str, str], frozenset[str]] = {}
    members: set[str] = set()
    for step in plan.steps:
        if not state.steps[step.id].attempt:
            continue
        if isinstance(step, WriteKeyStep):
            value = ANYTHING if SECRET.search(step.value) else step.value
            keys[step.key] = keys.get(step.key, frozenset()) | {value}
        elif isinstance(step, RemoveKeyStep):
            keys[step.key] = keys.get(step.key, frozenset()) | {None}
        elif isinstance(step, CopyKeyStep):
            keys[step.key] = keys.get(step.key, frozenset()) | {ANYTHING}
        elif isinstance(step, SubmitUnitStep | DestroyUnitStep):
            key = job_key(step.unit)  # the steps themselves look whose unit it is
            keys[key] = keys.get(key, frozenset()) | {ANYTHING}
        elif isinstance(step, AddMemberStep | RemoveMemberStep):
            members.add(step.peer.peer_url)
        elif isinstance(step, UploadStep):
            is_secret = SECRET.search(step.content)
            checksum = hashlib.sha256(step.content.encode()).hexdigest()
            place = (step.host, step.path)
            now = ANYTHING if is_secret else checksum
            files[place] = files.get(place, frozenset()) | {now}
    return Own(keys, files, frozenset(members))


def differences(basis: Basis, access: ClusterAccess, own: Own = NOTHING) -> tuple[str, ...]:
    """One sentence for each thing that others have changed; empty when nothing has.

    Raises:
        WizardError: it could not be read, which is no permission to go on.
    """
    found: list[str] = []
    etcd = access.etcd() if basis.keys else None
    for key in basis.keys:
        assert etcd is not None
        now = etcd.get(key.key)
        ours = own.keys.get(key.key, frozenset())
        if ANYTHING in ours or (now.text if now else None) in ours:
            continue
        if now is None and key.index:
            found.append(f"{key.key} was removed")
        elif now is not None and not key.index:
            found.append(f"{key.key} was made: it is now {_shown(key.key, now.value)}")
        elif now is not None and now.index != key.index:
            found.append(f"{key.key} was written: it is now {_shown(key.key, now.value)}")
    for file in basis.files:
        checksum = access.host(file.host).checksum(file.path, sudo=True) or ""
        mine = own.files.get((file.host, file.path), frozenset())
        if checksum != file.sha256 and not mine & {checksum, ANYTHING}:
            what = "removed" if not checksum else "made" if not file.sha256 else "changed"
            found.append(f"{file.path} on {file.host} was {what}")
    if basis.machines:
        machines = access.machine_ids()
        found += [f"host {name[:8]} has joined" for name in sorted(machines - set(basis.machines))]
        found += [f"host {name[:8]} has left" for name in sorted(set(basis.machines) - machines)]
    if basis.members:
        found += _member_differences(basis, access, own)
    return tuple(found)


def _member_differences(basis: Basis, access: ClusterAccess, own: Own) -> list[str]:
    """By whole ids: one that was removed and added again is another."""
    known = {member.id: member.peer_url for member in basis.members}
    now = {m.id: next(iter(m.peer_urls), m.id) for m in access.etcd().members()}
    came = [f"{name} ({now[name]}) has become a member of etcd" for name in sorted(now.keys() - known.keys()) if now[name] not in own.members]  # fmt: skip
    went = [f"{name} ({known[name]}) is no member of etcd any more" for name in sorted(known.keys() - now.keys()) if known[name] not in own.members]  # fmt: skip
    return came + went


def _shown(key: str, value: str | None) -> str:
    """Fleet's own words are for no reader."""
    return "another value" if value is None or key.startswith(PREFIX) else f"'{value}'"
