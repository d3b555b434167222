"""The runbook: a plan as a POSIX shell script that does the same by hand."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import assert_never

from deiswizard import __version__
from deiswizard.plan import preview
from deiswizard.plan.conditions import (
    CommandSays,
    Condition,
    DiskRoom,
    ImagePresent,
    KeyIs,
    UnitDone,
    UnitGone,
)
from deiswizard.plan.patterns import as_grep
from deiswizard.plan.plan import Basis, Plan, Stage
from deiswizard.plan.quoting import SECRET, comment, heredoc, printf, variable, word
from deiswizard.plan.reach import Reach
from deiswizard.plan.step import (
    CommandStep,
    DestroyUnitStep,
    GuardStep,
    JobStep,
    PullStep,
    RemoveKeyStep,
    Step,
    SubmitUnitStep,
    UploadStep,
    WaitStep,
    WriteKeyStep,
    as_run,
    shown,
    shown_condition,
    shown_upload,
)
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
    if plan_secrets(plan):
        helpers.append(ASK)
    if "agreed " in text:
        helpers.append(AGREED)
    head = [*_head(plan), "", *_login(reach), "", *(f"{helper}\n" for helper in helpers)]
    return "\n".join([*head, text]).rstrip("\n") + "\n"


def plan_secrets(plan: Plan) -> tuple[str, ...]:
    """The names of all secrets that its steps need."""
    found: dict[str, None] = {}
    for step in plan.steps:
        found |= dict.fromkeys(SECRET.findall(step.model_dump_json()))
    return tuple(found)


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


class Writer:
    """Writes the commands of a plan for one way to log in."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._hosts = dict(reach.hosts)

    def body(self, plan: Plan) -> Iterator[str]:
        """Secrets, the state the plan was made from, every stage, the way back."""
        for name in plan_secrets(plan):
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

    def _host(self, host: str, *, reads: bool = False) -> str:
        """The words that log in to a host; an empty name is the first one. ``reads``: its stdin."""
        quiet = "" if reads else " -n"
        if host in ("", self._reach.entry_name) and self._reach.entry:
            port = self._reach.port
            own = f" -p {port}" if self._reach.through_entry and port != 22 else ""
            return f"$SSH{quiet}{own} {word(self._reach.entry)}"
        address = self._hosts.get(host) or f"{self._reach.entry.partition('@')[0]}@{host}"
        return f"{'inside' if self._reach.through_entry else '$SSH'}{quiet} {word(address)}"

    def _on(self, host: str, command: str, *, reads: bool = False) -> str:
        return f"{self._host(host, reads=reads)} {word(command)}"

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
        yield f"# {comment(step.host) or 'etcd'}: {comment(step.title)}"
        if step.danger is not Danger.READ:
            undo = f"; undo: {comment(step.undo)}" if step.undo else ""
            yield f"#   {step.danger}{undo}"
        where = step.host or "etcd"
        failed = f"|| stop {word(comment(f'{where}: {step.title}: this failed'))}"
        match step:
            case CommandStep():
                yield from self._fed(
                    step.host, as_run(step.command, sudo=step.sudo), step.stdin, failed
                )
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
            case JobStep() | PullStep():
                yield f"{self._on(step.host, shown(step))} {failed}"
            case SubmitUnitStep():
                unit = shlex.quote(step.unit)
                yield from self._fed("", f"cat > {unit}", step.content, failed)
                start = f"fleetctl start {unit} && rm {unit}"
                yield f"{self._on('', start)} {failed}"
            case DestroyUnitStep():
                yield f"{self._on('', shown(step))} {failed}"
            case GuardStep():
                holds = self._condition(step.condition)
                yield f"{holds} ||\n    stop {word(comment(step.otherwise))}"
            case WaitStep():
                yield from self._wait(step)
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
        verb = "mk" if step.expect == 0 else "set"
        compare = f"--swap-with-index {step.expect} " if step.expect else ""
        command = f"etcdctl {verb} {compare}{shlex.quote(step.key)}"
        in_words = step.value.isprintable() and not step.value.startswith("-")
        if in_words and not SECRET.search(step.value):
            yield f"{self._on('', f'{command} {shlex.quote(step.value)}')} >/dev/null {failed}"
        else:
            ask = self._on("", command, reads=True)
            yield f"{printf(step.value)} | {ask} >/dev/null {failed}"

    def _absent(self, key: str) -> str:
        """Not there: not the same as an etcd that does not answer."""
        get = self._on("", f"etcdctl get {shlex.quote(key)}")
        return (
            f"{{ ! said=$({get} 2>&1) && printf '%s' \"$said\" | grep -q '100: Key not found'; }}"
        )

    def _condition(self, condition: Condition) -> str:
        """A command that ends with 0 when the condition holds."""
        match condition:
            case CommandSays():
                return self._says(condition)
            case KeyIs(value=None):
                return self._absent(condition.key)
            case KeyIs():
                ask = self._on("", shown_condition(condition))
                value = word((condition.value or "").rstrip("\n"))
                return f'{{ said=$({ask}) && [ "$said" = {value} ]; }}'
            case ImagePresent():
                return f"{self._on(condition.host, shown_condition(condition))} >/dev/null"
            case DiskRoom():
                ask = self._on(condition.host, shown_condition(condition))
                return f"{ask} | awk 'END {{ exit !(NR && $4 * 1024 >= {condition.needed}) }}'"
            case UnitDone():
                row = (
                    f'$1 == "{condition.unit}" && index($2, "{condition.machine}/") == 1'
                    ' && $3 == "active" && $4 == "exited"'
                )
                ask = self._on("", shown_condition(condition))
                return f"{ask} | awk {word(row + ' { found = 1 } END { exit !found }')}"
            case UnitGone():
                ask = self._on("", shown_condition(condition))
                row = f'$1 == "{condition.unit}" {{ found = 1 }} END {{ exit found }}'
                return f"{{ said=$({ask}) && printf '%s\\n' \"$said\" | awk {word(row)}; }}"
            case _:
                assert_never(condition)

    def _says(self, condition: CommandSays) -> str:
        ask = f"said=$({self._on(condition.host, shown_condition(condition))})"
        grep = as_grep(condition.pattern)
        if grep is None:
            return f'{{ {ask} && agreed "$said" {word(condition.pattern)}; }}'
        flags = "-Eqi" if grep.ignores_case else "-Eq"
        lines = "printf '%s\\n' \"$said\""
        if grep.whole:
            lines = "{ printf '%s' \"$said\" | tr '\\n' ' '; echo; }"
        look = f"{lines} | grep {flags} -e {word(grep.pattern)}"
        return f"{{ {ask} && {look}; }}"

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


def _in_order(steps: Sequence[Step]) -> Iterator[Step]:
    """As they stand, except that what a step needs comes before it."""
    left, done = list(steps), set[str]()
    names = {step.id for step in steps}
    while left:
        free = next((s for s in left if not (set(s.needs) & names) - done), left[0])
        left.remove(free)
        done.add(free.id)
        yield free
