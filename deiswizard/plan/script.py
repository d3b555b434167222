"""The runbook: a plan as a POSIX shell script that does the same by hand."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import assert_never

from deiswizard import __version__
from deiswizard.plan import preview
from deiswizard.plan.backup_steps import BackupStep, BackupTaskStep, RestoreStep
from deiswizard.plan.etcd_steps import AddMemberStep, RemoveMemberStep
from deiswizard.plan.fleet_steps import DestroyUnitStep, StartUnitStep, StopUnitStep, SubmitUnitStep
from deiswizard.plan.here_steps import HereFileStep, HereStep
from deiswizard.plan.plan import Basis, Plan, Stage
from deiswizard.plan.quoting import SECRET, comment, heredoc, printf, variable, word
from deiswizard.plan.reach import Reach
from deiswizard.plan.script_asking import Asking
from deiswizard.plan.script_data import by_hand
from deiswizard.plan.step import (
    KEPT,
    CommandStep,
    CopyKeyStep,
    GuardStep,
    JobStep,
    PullStep,
    RemoveKeyStep,
    Step,
    UploadStep,
    WaitStep,
    WriteKeyStep,
    as_run,
    shown,
    shown_upload,
)
from deiswizard.plan.store_steps import BucketStep, DatabaseStep
from deiswizard.plan.user_data_step import UserDataStep
from deiswizard.vocabulary import Danger
from deiswizard.wording import at_time

SSH = "ssh -o ConnectTimeout=10 -o ServerAliveInterval=15"

WORDS = """\
# It stops at the first thing that goes wrong, and says what. Other than the wizard it keeps no
# journal, takes no lock, does one host after the other, and does not look again at the end:
# see that nobody else changes this cluster meanwhile, and run `deiswizard check` afterwards."""

STOP = """\
stop() {
    printf 'stopped: %s\\n' "$1" >&2
    exit 1
}"""

SAY = """\
say() {
    printf '== %s\\n' "$1"
}"""

ASK = """\
# Secrets are typed, or taken from a file as it is (@FILE); they stand in no command's arguments.
ask() {
    printf '%s (or @FILE): ' "$1" >&2
    if [ -t 0 ]; then
        terminal=$(stty -g)
        trap 'stty "$terminal"; exit 130' INT TERM
        stty -echo
    fi
    IFS= read -r answer || true
    if [ -t 0 ]; then
        stty "$terminal"
        trap - INT TERM
        echo >&2
    fi
    case $answer in
        '') stop "nothing was given for $1" ;;
        @*) answer=$(cat "${answer#@}" && echo .) && answer=${answer%.} ;;
    esac
}"""

AGREED = """\
# What grep cannot judge, you do.
agreed() {
    printf '%s\\nDoes this match %s ? [y/N] ' "$1" "$2" >&2
    IFS= read -r answer || answer=
    [ "$answer" = y ]
}"""


def script(plan: Plan, reach: Reach) -> str:
    """The whole script, printable text only. ``plan`` alone decides what it does."""
    body = list(Writer(reach).body(plan))
    text = "\n".join(body)
    helpers = [STOP, SAY]
    if plan.secrets:
        helpers.append(ASK)
    if "agreed " in text:
        helpers.append(AGREED)
    head = [*_head(plan), "", *_login(reach), "", *(f"{helper}\n" for helper in helpers)]
    return "\n".join([*head, text]).rstrip("\n") + "\n"


def _head(plan: Plan) -> Iterator[str]:
    yield "#!/bin/sh"
    yield f"# {comment(plan.title)} on {comment(plan.cluster)}, by hand."
    yield f"# Made by deiswizard {__version__} from a look at {at_time(plan.basis.taken_at)}."
    yield "#"
    yield "# What it changes:"
    yield from (f"#   {comment(line)}" for line in preview.changes(plan))
    yield "#"
    for label, lines in preview.impact(plan):
        for number, line in enumerate(lines):
            yield f"# {label if not number else '':10} {comment(line)}".rstrip()
    yield "#"
    yield WORDS
    yield "#"
    yield "# shellcheck disable=SC2086  # $SSH is several words"
    yield "# shellcheck disable=SC2016  # what stands in single quotes is for a host's shell"
    yield "set -eu"


def _login(reach: Reach) -> Iterator[str]:
    yield "# How to log in. Another key, port or config file: SSH='ssh -F my_config' sh this_script"
    yield from (f"# {comment(note)}" for note in reach.notes)
    options = [*reach.options, *(["-J", reach.jumps] if reach.jumps else [])]
    port = [] if reach.through_entry or reach.port == 22 else ["-p", str(reach.port)]
    yield f'SSH="${{SSH:-{" ".join([SSH, *options, *port])}}}"'
    if reach.through_entry:
        own = f"-p {reach.port} " if reach.port != 22 else ""
        yield "# The other hosts are reached through the first one."
        yield (
            f'inside() {{\n    $SSH -o "ProxyCommand=$SSH -W [%h]:%p {own}{shlex.quote(reach.entry)}"'
            ' "$@"\n}'
        )


class Writer(Asking):
    """Writes the commands of a plan for one way to log in."""

    def body(self, plan: Plan) -> Iterator[str]:
        """Secrets, the state the plan was made from, every stage, the way back."""
        for name in plan.secrets:
            yield f"ask {word(name)}"
            yield f"{variable(name)}=$answer"
        yield from self._basis(plan.basis)
        for stage in plan.stages:
            yield from self._stage(stage)
        yield ""
        yield "say 'Every step is done. Look again: only the cluster knows (deiswizard check)'"
        if plan.undo:
            yield ""
            yield f"# How to take it back: {comment(plan.impact.undo)}. By hand:"
            for stage in plan.undo:
                for step in stage.steps:
                    text = "\n".join(self._step(step))
                yield from (f"#   {line}" for line in text.split("\n"))

    def _basis(self, basis: Basis) -> Iterator[str]:
        """The same that the wizard reads again before it runs a plan."""
        conditions: list[tuple[str, str]] = []
        for key in basis.keys:
            if key.index:
                get = self._on("", f"etcdctl -o extended get {shlex.quote(key.key)}")
                holds = f"{get} | grep -qx 'Modified-Index: {key.index}'"
            else:
                holds = self._absent(key.key)
            conditions.append((holds, comment(f"{key.key} was changed")))
        for file in basis.files:
            path = shlex.quote(file.path)
            if file.sha256:
                ask = self._on(file.host, as_run(f"sha256sum < {path}", sudo=True))
                holds = f"{ask} | grep -q '^{file.sha256}'"
            else:
                holds = self._on(file.host, as_run(f"test ! -e {path}", sudo=True))
            conditions.append((holds, comment(f"{file.path} on {file.host} was changed")))
        if basis.machines:
            ask = self._on("", "fleetctl list-machines --no-legend -l")
            known = "\n".join(sorted(basis.machines))
            holds = f"[ \"$({ask} | awk '{{ print $1 }}' | LC_ALL=C sort)\" = {word(known)} ]"
            conditions.append((holds, "the hosts of the cluster have changed"))
        if not conditions:
            return
        yield ""
        yield "say 'Is the cluster still what this was made from?'"
        for holds, what in conditions:
            yield f"{holds} ||\n    stop {word(what + ' since. Make a new plan')}"

    def _stage(self, stage: Stage) -> Iterator[str]:
        yield ""
        yield f"say {word(comment(stage.title))}"
        for step in _in_order(stage.steps):
            yield ""
            yield from self._step(step)

    def _step(self, step: Step) -> Iterator[str]:
        yield f"# {comment(preview.place_of(step)) or 'etcd'}: {comment(step.title)}"
        if step.danger is not Danger.READ:
            undo = f"; undo: {comment(step.undo)}" if step.undo else ""
            yield f"#   {step.danger}{undo}"
        where = preview.place_of(step) or "etcd"
        failed = f"|| stop {word(comment(f'{where}: {step.title}: this failed'))}"
        match step:
            case CommandStep():
                fed = self._fed(step.host, as_run(step.command, sudo=step.sudo), step.stdin, failed)
                if step.unless is None:
                    yield from fed
                else:
                    yield f"if ! {self._condition(step.unless)}; then"
                    yield from fed
                    yield "fi"
            case UploadStep():
                yield from self._upload(step, failed)
            case WriteKeyStep():
                yield f"#   {comment(shown(step))}"
                yield from self._write_key(step, failed)
            case RemoveKeyStep():
                yield f"#   {comment(shown(step))}"
                compare = f"--with-index {step.expect} " if step.expect else ""
                remove = self._on("", f"etcdctl rm {compare}{shlex.quote(step.key)}")
                yield f"{remove} >/dev/null {failed}"
            case CopyKeyStep():
                yield f"#   {comment(shown(step))}"
                yield from self._copy_key(step, failed)
            case JobStep() | PullStep():
                yield f"{self._on(step.host, shown(step))} {failed}"
            case SubmitUnitStep():
                unit = shlex.quote(step.unit)
                yield from self._fed("", f"cat > {unit}", step.content, failed)
                start = f"fleetctl start {unit} && rm {unit}"
                yield f"{self._on('', start)} {failed}"
            case DestroyUnitStep() | StopUnitStep() | StartUnitStep():
                yield f"{self._on('', shown(step))} {failed}"
            case AddMemberStep() | RemoveMemberStep():
                # on another host: its own etcd may be what ends
                at = next((peer.host for peer in step.others if peer.host), "")
                yield f"{self._on(at, shown(step))} {failed}"
            case GuardStep():
                holds = self._condition(step.condition)
                yield f"{holds} ||\n    stop {word(comment(step.otherwise))}"
            case WaitStep():
                yield from self._wait(step)
            case (
                BackupStep()
                | BackupTaskStep()
                | RestoreStep()
                | HereStep()
                | HereFileStep()
                | UserDataStep()
            ):
                yield from by_hand(step, self._on, failed)
            case BucketStep() | DatabaseStep():
                yield f"#   {comment(shown(step))}"
                yield f"stop {word(f'{step.title}: done by deiswizard alone; use deiswizard apply')}"
            case _:
                assert_never(step)

    def _fed(self, host: str, command: str, stdin: str, failed: str) -> Iterator[str]:
        """A command with its standard input."""
        if not stdin:
            yield f"{self._on(host, command)} ||\n    {failed[3:]}"
        elif (here := heredoc(stdin)) is not None:
            yield f"{self._on(host, command, reads=True)} {here[0]} {failed}"
            yield from here[1]
        else:
            yield f"{printf(stdin)} | {self._on(host, command, reads=True)} {failed}"

    def _upload(self, step: UploadStep, failed: str) -> Iterator[str]:
        path = shlex.quote(step.path)
        changed = f"|| stop {word(comment(f'{step.host}: {step.path} was changed since'))}"
        if step.expect:
            ask = self._on(step.host, as_run(f"sha256sum < {path}", sudo=step.sudo))
            yield f"{ask} | grep -q '^{step.expect}' {changed}"
        elif step.expect is not None:
            yield f"{self._on(step.host, as_run(f'test ! -e {path}', sudo=step.sudo))} {changed}"
        # through cat, because a socket cannot be opened as /dev/stdin
        yield from self._fed(step.host, f"cat | {shown_upload(step)}", step.content, failed)

    def _write_key(self, step: WriteKeyStep, failed: str) -> Iterator[str]:
        """By etcdctl, which can compare and, other than deisctl, tells by its exit status."""
        command = _set(step)
        in_words = step.value.isprintable() and not step.value.startswith("-")
        if in_words and not SECRET.search(step.value):
            yield f"{self._on('', f'{command} {shlex.quote(step.value)}')} >/dev/null {failed}"
        else:
            ask = self._on("", command, reads=True)
            yield f"{printf(step.value)} | {ask} >/dev/null {failed}"

    def _copy_key(self, step: CopyKeyStep, failed: str) -> Iterator[str]:
        """The value goes through a variable of this shell, and through no command's arguments."""
        compare = f"--with-index {step.expect} " if step.expect else ""
        remove = self._on("", f"etcdctl rm {compare}{shlex.quote(step.key)}")
        yield f"if {self._absent(step.source)}; then"
        if step.source.startswith(f"{KEPT}/"):
            yield f"    stop {word(f'there is nothing at {step.source} to put back')}"
        else:
            yield f"    {self._absent(step.key)} || {remove} >/dev/null {failed}"
        yield "else"
        get = self._on("", f"etcdctl get {shlex.quote(step.source)}")
        yield f"    copied=$({get} && echo .) {failed}"
        yield "    copied=${copied%??}  # exactly the value: without the end of line that etcdctl adds"
        ask = self._on("", _set(step), reads=True)
        yield f"    printf '%s' \"$copied\" | {ask} >/dev/null {failed}"
        yield "    unset copied"
        yield "fi"

    def _wait(self, step: WaitStep) -> Iterator[str]:
        pause = max(1, round(step.interval))
        tries = max(1, round(step.timeout / pause))
        vain = (
            f"waited {tries * pause} s for {step.waiting_for} in vain. {comment(step.on_timeout)}"
        )
        yield "tries=0"
        yield f"until {self._condition(step.condition)}; do"
        yield "    tries=$((tries + 1))"
        yield f'    [ "$tries" -lt {tries} ] || stop {word(vain.strip())}'
        yield f"    sleep {pause}"
        yield "done"


def _set(step: WriteKeyStep | CopyKeyStep) -> str:
    """The etcdctl that writes a key as it is expected to stand."""
    verb = "mk" if step.expect == 0 else "set"
    compare = f"--swap-with-index {step.expect} " if step.expect else ""
    return f"etcdctl {verb} {compare}{shlex.quote(step.key)}"


def _in_order(steps: Sequence[Step]) -> Iterator[Step]:
    """As they stand, except that what a step needs comes before it."""
    left, done = list(steps), set[str]()
    names = {step.id for step in steps}
    while left:
        free = next((s for s in left if not (set(s.needs) & names) - done), left[0])
        left.remove(free)
        done.add(free.id)
        yield free
