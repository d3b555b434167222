"""Steps: one thing done on one host, as data.

A step is what the preview shows and what the runner runs: ``shown`` is the only text of it.
Secrets never stand in a step. Where one is needed, ``stdin``, ``content`` or ``value`` holds
``${secret:NAME}``, which the runner replaces at the last moment; commands may not hold one,
because argv can be read by everybody on the host.
"""

from __future__ import annotations

import shlex
from typing import Annotated, Literal

from pydantic import Field, model_validator

from deiswizard.cluster.etcd_host import LOCAL
from deiswizard.plan.backup_steps import (
    BackupStep,
    BackupTaskStep,
    RestoreStep,
    shown_backup,
    shown_restore,
    shown_task,
)
from deiswizard.plan.conditions import (
    CommandSays,
    Condition,
    DiskRoom,
    ImagePresent,
    KeyIs,
    MemberListed,
    NoMember,
    UnitDone,
    UnitGone,
    UnitRunning,
    WebSays,
)
from deiswizard.plan.etcd_stands import EtcdStands
from deiswizard.plan.etcd_steps import AddMemberStep, RemoveMemberStep, shown_member
from deiswizard.plan.fleet_conditions import (
    MachinesCarry,
    MetadataIs,
    UnitRunsOn,
    UnitsElsewhere,
    UnitsStay,
    UnitStopped,
)
from deiswizard.plan.fleet_steps import (
    DestroyUnitStep,
    StartUnitStep,
    StopUnitStep,
    SubmitUnitStep,
    shown_fleet,
)
from deiswizard.plan.here_steps import HereFileStep, HereStep, shown_here_file
from deiswizard.plan.quoting import SECRET as SECRET
from deiswizard.plan.reach_conditions import ReachCondition, shown_reach
from deiswizard.plan.step_base import StepBase
from deiswizard.plan.store_steps import BucketStep, DatabaseStep, shown_store
from deiswizard.plan.user_data_step import UserDataStep, shown_user_data
from deiswizard.vocabulary import JobWay


class CommandStep(StepBase):
    """A command run by the host's ``sh``.

    For what takes a few seconds at most; longer ones are a JobStep. ``is_repeatable``: run again it
    does no more than run once, so a run that is taken up again runs it again where it was cut off;
    of any other command nobody but the operator may say so. ``unless`` holds: nothing is run.
    """

    kind: Literal["command"] = "command"
    command: str
    sudo: bool = False
    stdin: str = ""
    is_repeatable: bool = False
    unless: Condition | None = None

    @model_validator(mode="after")
    def _no_secret_in_argv(self) -> CommandStep:
        if SECRET.search(self.command):
            raise ValueError("a secret may not stand in a command; use stdin")
        return self


class JobStep(StepBase):
    """A long command that goes on on its host whatever becomes of the connection or the wizard.

    Run by the host's ``sh`` as the user core, detached as ``way`` says (``cluster/jobs.py``).
    Nobody can be kept from reading it on the host, so it holds no secret. ``progress`` names a
    reader of its output in ``run/progress.py`` (``preseed``), if any. ``timeout`` is how long it
    usually takes at most: it is told, not enforced.
    """

    kind: Literal["job"] = "job"
    command: str
    way: JobWay
    progress: str = ""

    @model_validator(mode="after")
    def _no_secret(self) -> JobStep:
        if SECRET.search(self.command):
            raise ValueError("a secret may not stand in a job")
        return self


class UploadStep(StepBase):
    """A file put on a host. ``expect`` is the sha256 it replaces, empty: it must not exist."""

    kind: Literal["upload"] = "upload"
    path: str
    content: str
    mode: int = 0o644
    sudo: bool = False
    expect: str | None = None


class WriteKeyStep(StepBase):
    """An etcd key set. ``expect`` is the modifiedIndex it must still have, 0: absent, None: any."""

    kind: Literal["write-key"] = "write-key"
    key: str
    value: str
    expect: int | None = None


class RemoveKeyStep(StepBase):
    """An etcd key removed. ``expect`` as in WriteKeyStep."""

    kind: Literal["remove-key"] = "remove-key"
    key: str
    expect: int | None = None


class CopyKeyStep(StepBase):
    """An etcd key's value copied to another key, without it ever being in the plan.

    For secrets: the value before a change is kept below ``KEPT``, and copied back by the undo
    (``plan/keeping.py`` makes these steps). Without ``source`` the copy is removed, too; but one
    whose source was kept is then refused: it has been put back, or somebody has removed it.
    ``expect`` as in WriteKeyStep, of ``key``.
    """

    kind: Literal["copy-key"] = "copy-key"
    source: str
    key: str
    expect: int | None = None


class PullStep(StepBase):
    """An image pulled on its host as a job, watched layer by layer through the engine's API, then
    inspected.
    """

    kind: Literal["pull"] = "pull"
    image: str
    way: JobWay

    @property
    def command(self) -> str:
        """What the job runs."""
        return f"docker pull {shlex.quote(self.image)}"


class WaitStep(StepBase):
    """A condition awaited: polled every ``interval`` seconds for ``timeout`` seconds at most.

    ``waiting_for`` finishes the sentence "waiting for ...". ``on_timeout`` explains, when time is
    up, what usually is the cause and what to do. A condition that will never hold ends the wait at
    once; ``on_retry`` is what root on the host then runs first when the step is tried again.
    ``asks`` is the unit that is asked there (``deis-router``, whichever instance): a way back that comes
    when it runs elsewhere leaves the step out.
    """

    kind: Literal["wait"] = "wait"
    condition: Condition
    waiting_for: str
    interval: float = 2.0
    on_timeout: str = ""
    on_retry: str = ""
    asks: str = ""


class GuardStep(StepBase):
    """A condition that must hold now, or the run stops before the change.

    ``otherwise`` says what would go wrong and what to do. ``until`` are the steps that it guards: once all
    are done the condition may have ended with what they did. Without any it guards the whole run.
    """

    kind: Literal["guard"] = "guard"
    condition: Condition
    otherwise: str


Step = Annotated[
    CommandStep
    | JobStep
    | UploadStep
    | WriteKeyStep
    | RemoveKeyStep
    | CopyKeyStep
    | SubmitUnitStep
    | DestroyUnitStep
    | AddMemberStep
    | RemoveMemberStep
    | StopUnitStep
    | StartUnitStep
    | PullStep
    | WaitStep
    | GuardStep
    | BackupStep
    | BackupTaskStep
    | RestoreStep
    | HereStep
    | HereFileStep
    | BucketStep
    | DatabaseStep
    | UserDataStep,
    Field(discriminator="kind"),
]


KeyStep = WriteKeyStep | RemoveKeyStep | CopyKeyStep
"""What changes an etcd key."""

KEPT = "/deiswizard/kept"
"""Below it, by plan, stand the values of secret keys from before a change."""


def deisctl_can_say(value: str) -> bool:
    """Whether ``deisctl config set`` writes this value as it is (deis-facts 0.4).

    It cannot write an empty value, and splits at the last "=" that has a character after it.
    """
    return bool(value) and "=" not in value.rstrip("=") and not value.endswith("==")


def shown_key_write(key: str, value: str) -> str:
    """The command that a write of an etcd key equals: deisctl's where it can say it."""
    masked = SECRET.sub(lambda match: f"<secret: {match[1]}>", value)
    parts = key.strip("/").split("/")
    file_keys = ("platform/sshPrivateKey", "router/sslCert", "router/sslKey", "router/sslDhparam")
    path = "/".join(parts[1:])
    if parts[0] == "deis" and len(parts) >= 3 and deisctl_can_say(value) and path not in file_keys:
        return f"deisctl config {parts[1]} set {'/'.join(parts[2:])}={shlex.quote(masked)}"
    return f"etcdctl set {key} {shlex.quote(masked)}"


def shown_key_removal(key: str) -> str:
    """The command that a removal of an etcd key equals."""
    parts = key.strip("/").split("/")
    if parts[0] == "deis" and len(parts) >= 3:
        return f"deisctl config {parts[1]} rm {'/'.join(parts[2:])}"
    return f"etcdctl rm {key}"


def as_run(command: str, *, sudo: bool) -> str:
    """The command as the host's shell gets it."""
    return f"sudo -n sh -c {shlex.quote(command)}" if sudo else command


def shown_upload(step: UploadStep) -> str:
    """The command that puts its standard input where a file is uploaded to."""
    command = f"install -m {step.mode:04o} /dev/stdin {shlex.quote(step.path)}"
    return f"sudo -n {command}" if step.sudo else command


def shown_condition(condition: Condition) -> str:
    """The command that asks what a condition asks."""
    match condition:
        case CommandSays():
            return as_run(condition.command, sudo=condition.sudo)
        case KeyIs():
            return f"etcdctl get {shlex.quote(condition.key)}"
        case ImagePresent():
            return f"docker inspect {shlex.quote(condition.image)}"
        case DiskRoom():
            return f"df -P -k {shlex.quote(condition.path)}"
        case MachinesCarry() | MetadataIs():
            return "fleetctl list-machines -l --no-legend"
        case (
            UnitDone()
            | UnitRunning()
            | UnitGone()
            | UnitStopped()
            | UnitRunsOn()
            | UnitsStay()
            | UnitsElsewhere()
        ):
            return "fleetctl list-units --full --no-legend"
        case WebSays():
            return condition.request.shown
        case ReachCondition():
            return shown_reach(condition)
        case MemberListed():
            return f"etcdctl member list | grep '^{condition.id}[:[]'"
        case NoMember():
            return f"etcdctl member list   # without {condition.peer_url}"
        case EtcdStands():
            return shown_etcd_stands(condition)


def shown_etcd_stands(condition: EtcdStands) -> str:
    """What asks the same by hand: the list, then each member on its own host."""
    hosts = " ".join(peer.host for peer in condition.others)
    gone = condition.target.id if condition.is_gone and condition.target is not None else ""
    alive = "etcdctl cluster-health; " if gone else ""
    return (
        f"{alive}etcdctl --no-sync member list; "
        f"curl -s {LOCAL}/health on each of: {hosts}   # and its data directory: a member's, no proxy's"
        + (f"; {gone} is not healthy" if gone else "")
    )


def shown(step: Step) -> str:
    """The exact command of a step, secrets masked: what the preview shows and a person could type."""
    match step:
        case CommandStep():
            command = as_run(step.command, sudo=step.sudo)
            stdin = SECRET.sub(lambda match: f"<secret: {match[1]}>", step.stdin)
            command = f"{command} <<< {shlex.quote(stdin)}" if stdin else command
            if step.unless is not None:
                command = f"{shown_condition(step.unless)} || {command}"
            return command
        case UploadStep():
            return shown_upload(step)
        case WriteKeyStep():
            return shown_key_write(step.key, step.value)
        case RemoveKeyStep():
            return shown_key_removal(step.key)
        case CopyKeyStep():
            return f'etcdctl set {step.key} "$(etcdctl get {step.source})"'
        case JobStep() | PullStep():
            return step.command
        case SubmitUnitStep() | DestroyUnitStep() | StopUnitStep() | StartUnitStep():
            return shown_fleet(step)
        case AddMemberStep() | RemoveMemberStep():
            return shown_member(step)
        case WaitStep() if step.on_retry:
            asks = shown_condition(step.condition)
            return f"{asks}    # a retry first: {as_run(step.on_retry, sudo=True)}"
        case WaitStep() | GuardStep():
            return shown_condition(step.condition)
        case BackupStep():
            return shown_backup(step)
        case BackupTaskStep():
            return shown_task(step)
        case RestoreStep():
            return shown_restore(step)
        case HereStep():
            return step.command
        case HereFileStep():
            return shown_here_file(step)
        case BucketStep() | DatabaseStep():
            return shown_store(step)
        case UserDataStep():
            return shown_user_data(step)
