"""What the two keys add to the plan of logging: storage, the drain, its trial and its proof."""

from __future__ import annotations

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.plan.conditions import CommandSays, KeyIs
from deiswizard.plan.keeping import keep, put_back, token_of
from deiswizard.plan.plan import Change, Stage
from deiswizard.plan.step import (
    CommandStep,
    GuardStep,
    JobStep,
    RemoveKeyStep,
    Step,
    WaitStep,
    WriteKeyStep,
)
from deiswizard.recommendations.logs.checks import effective_drain, told_word
from deiswizard.recommendations.logs.choices import STORAGE_KEY, LoggingChoices, storage_value
from deiswizard.recommendations.logs.drain import KEY, Drain, parse_drain, shown_drain
from deiswizard.recommendations.logs.facts import (
    drain_value,
    is_proven,
    keeps_lines,
    sent_marker,
    storage_now,
)
from deiswizard.recommendations.logs.marker import (
    HEARD_KEY,
    MARKER_KEY,
    PROVEN_KEY,
    Sent,
    clear_command,
    hear_command,
    heard_value,
    listener_drain,
    logger_host,
    reach_command,
    say_command,
    speaker,
    spouting,
    stores_command,
    takes_command,
)
from deiswizard.recommendations.logs.plan_units import Parts
from deiswizard.vocabulary import Danger

FOLLOW_SECONDS = 60.0
"""logger looks every 10 s (deis-facts 8); with room to spare."""

JOB_SECONDS = 90.0
SPOUTS_AT_A_TIME = 10
NOT_TAKEN = (
    "logger does not take it: look at its own words on its host, docker logs deis-logger; where it "
    "does not run, deisctl start logger"
)


def is_tried(snapshot: Snapshot, choices: LoggingChoices) -> bool:
    """Whether a listener is to hear a marker: not for a drain that stays and is proven."""
    wanted = effective_drain(snapshot, choices)
    is_settled = wanted == drain_value(snapshot) and is_proven(snapshot, wanted)
    return bool(wanted) and choices.proof == "listen" and not is_settled


class Settings:
    """The two keys, the trial and the proof."""

    def __init__(self, snapshot: Snapshot, choices: LoggingChoices) -> None:
        self._snapshot = snapshot
        self._choices = choices
        self._own = logger_host(snapshot)
        self._now = drain_value(snapshot)
        self._wanted = effective_drain(snapshot, choices)
        self._changes = self._wanted != self._now
        self._token = token_of(snapshot, "logging")

    def add_to(self, parts: Parts) -> None:
        """Put stages, changes and the way back where they belong."""
        self._storage(parts)
        trial = self._trial()
        if self._changes or trial is not None:
            self._drain(parts, trial)
        sent = sent_marker(self._snapshot, self._wanted)
        is_told = sent is not None and told_word(self._snapshot, self._choices)
        if (is_open := self._is_open) and not is_told:
            self._say(parts)
        if trial is not None:
            parts.stages.append(Stage(id="heard", title="Was it heard?", steps=(self._heard(),)))
        if is_open:
            self._every_host(parts)
        if is_open and sent is not None and is_told:
            self._prove(parts, sent)

    @property
    def _is_open(self) -> bool:
        """There is a drain to prove, and it is to be proven."""
        is_wanted = bool(self._wanted) and self._choices.proof != "none"
        return is_wanted and not is_proven(self._snapshot, self._wanted)

    def _takes(self, drain: str, step: str, title: str) -> WaitStep | None:
        """Waits until logger has said that it has this drain; None where logger cannot be asked."""
        if self._own is None:
            return None
        pattern = r"^1$" if drain else r"^0$"
        return WaitStep(
            id=step,
            title=title,
            host=self._own.name,
            condition=CommandSays(
                host=self._own.name, command=takes_command(drain), pattern=rf"(?m){pattern}"
            ),
            waiting_for="logger to follow",
            timeout=FOLLOW_SECONDS,
            on_timeout=NOT_TAKEN,
        )

    def _storage(self, parts: Parts) -> None:
        wanted, fact = storage_value(self._choices), self._snapshot.key(STORAGE_KEY)
        if wanted in ("keep", storage_now(self._snapshot)):
            return
        write = WriteKeyStep(
            id="write:storage",
            title=f"keep logs by {wanted}",
            key=STORAGE_KEY,
            value=wanted,
            expect=fact.index if fact else 0,
            danger=Danger.WRITE,
            undo="the adapter of before is written back",
        )
        parts.stages.append(Stage(id="storage", title="Storage of logs", steps=(write,)))
        if self._own is not None:
            wait = WaitStep(
                id="wait:storage",
                title=f"logger keeps lines by {wanted}",
                host=self._own.name,
                condition=CommandSays(
                    host=self._own.name, command=stores_command(wanted), pattern=r"(?m)^1$"
                ),
                waiting_for="logger to follow",
                timeout=FOLLOW_SECONDS,
                on_timeout=NOT_TAKEN,
            )
            parts.stages.append(Stage(id="storage-live", title="logger follows", steps=(wait,)))
        before = fact.value if fact else None
        back: Step = RemoveKeyStep(
            id="back:storage",
            title="remove the storage adapter's key again",
            key=STORAGE_KEY,
            danger=Danger.WRITE,
            undoes=("write:storage",),
        )
        if before is not None:
            back = write.model_copy(
                update={
                    "id": "back:storage",
                    "title": f"keep logs by {before} again",
                    "value": before,
                    "expect": None,
                    "undoes": ("write:storage",),
                }
            )
        parts.undo.insert(0, Stage(id="back:storage", title="Storage of logs", steps=(back,)))
        parts.changes.append(
            Change(where=STORAGE_KEY, current=before, desired=wanted, steps=("write:storage",))
        )

    def _trial(self) -> Drain | None:
        """Where the drain goes first, to be heard; None: it is not tried out."""
        if not is_tried(self._snapshot, self._choices):
            return None
        drain = parse_drain(self._wanted)
        return listener_drain(self._snapshot, drain.protocol) if drain else None

    def _drain(self, parts: Parts, trial: Drain | None) -> None:
        """The former value is kept; then the trial's listener, if any; then what is wanted."""
        fact = self._snapshot.key(KEY)
        writers = ["write:trial"] if trial is not None else []
        if self._changes:
            writers.append("write:drain")
        if fact is not None:
            parts.stages.append(
                Stage(id="keep", title="Keep the former drain", steps=(keep(self._token, KEY),))
            )
        if trial is not None:
            self._listen(parts, trial, fact.index if fact else 0)
        expect = None if trial is not None else (fact.index if fact else 0)
        steps: list[Step] = []
        if self._changes and self._wanted:
            steps.append(self._write("write:drain", self._wanted, expect))
        elif self._changes:
            steps.append(
                RemoveKeyStep(
                    id="write:drain",
                    title="remove the drain",
                    key=KEY,
                    expect=expect,
                    danger=Danger.WRITE,
                    undo="the drain of before is put back",
                )
            )
        else:  # only tried out: what was there comes back at once
            back, _ = put_back(self._token, KEY, "", was_there=True)
            steps.append(back.model_copy(update={"id": "again:drain", "undoes": ()}))
        parts.stages.append(Stage(id="drain", title="The drain", steps=tuple(steps)))
        wait = None
        if self._changes:
            title = "logger has the drain" if self._wanted else "logger has let go of the drain"
            wait = self._takes(self._wanted, "wait:drain", title)
        elif trial is not None and self._own is not None:
            wait = self._let_go(trial.url, "wait:drain", "logger has let go of the listener")
        if wait is not None:
            parts.stages.append(Stage(id="drain-live", title="logger follows", steps=(wait,)))
        backwards = put_back(self._token, KEY, writers[-1], was_there=fact is not None)
        parts.undo[:0] = [
            Stage(
                id=f"back:drain:{number}",
                title="The former drain",
                steps=(step.model_copy(update={"undoes": tuple(writers)}) if not number else step,),
            )
            for number, step in enumerate(backwards)
        ]
        if self._wanted and self._changes and self._own is not None:
            gone = self._let_go(self._wanted, "back:drain:live", "logger has let go of the drain")
            gone = gone.model_copy(update={"undoes": ("write:drain",)})
            parts.undo.insert(1, Stage(id="back:drain:live", title="logger follows", steps=(gone,)))
        if trial is not None:
            parts.undo.append(self._forget(HEARD_KEY, "hear", "what was heard"))
        if self._changes:
            parts.changes.append(
                Change(
                    where=KEY,
                    current=shown_drain(self._now) if fact is not None and self._now else None,
                    desired=shown_drain(self._wanted) if self._wanted else None,
                    steps=("write:drain",),
                )
            )

    def _let_go(self, drain: str, step: str, title: str) -> WaitStep:
        """The former drain is a secret, but not that logger has another one than ours."""
        assert self._own is not None
        return WaitStep(
            id=step,
            title=title,
            host=self._own.name,
            condition=CommandSays(
                host=self._own.name, command=takes_command(drain), pattern=r"(?m)^0$"
            ),
            waiting_for="logger to follow",
            timeout=FOLLOW_SECONDS,
            on_timeout=NOT_TAKEN,
            asks="deis-logger",
        )

    def _heard(self) -> GuardStep:
        return GuardStep(
            id="heard",
            title="the listener heard the marker",
            condition=KeyIs(key=HEARD_KEY, value=heard_value(self._wanted)),
            otherwise="the marker did not leave the cluster. Usual causes: deis-logspout does not run on "
            "that host, or a line without an app's tag has stopped logger: deisctl restart logger. The "
            "drain is as you chose it",
        )

    def _forget(self, key: str, step: str, what: str) -> Stage:
        forget = RemoveKeyStep(
            id=f"forget:{step}",
            title=f"forget {what}",
            key=key,
            danger=Danger.WRITE,
            undoes=(step,),
        )
        return Stage(id=f"forget:{step}", title=f"Forget {what}", steps=(forget,))

    def _write(self, step: str, value: str, expect: int | None) -> WriteKeyStep:
        return WriteKeyStep(
            id=step,
            title=f"set the drain: {shown_drain(value)}",
            key=KEY,
            value=value,
            expect=expect,
            danger=Danger.WRITE,
            undo="the drain of before is put back",
        )

    def _listen(self, parts: Parts, trial: Drain, expect: int) -> None:
        """A listener on a host, a marker, and whether it was heard."""
        host = speaker(self._snapshot)
        assert host is not None
        steps = [self._write("write:trial", trial.url, expect)]
        parts.stages.append(
            Stage(id="trial", title="Drain to a listener of ours", steps=tuple(steps))
        )
        wait = self._takes(trial.url, "wait:trial", "logger has the listener as its drain")
        if wait is not None:
            parts.stages.append(Stage(id="trial-live", title="logger follows", steps=(wait,)))
        hear = JobStep(
            id="hear",
            title=f"listen on {trial.to.shown}, say a marker, and hear it",
            host=host.name,
            command=hear_command(self._snapshot, trial, self._wanted),
            way=host.job_way,
            timeout=JOB_SECONDS,
            danger=Danger.WRITE,
            undo="what was heard is forgotten",
        )
        parts.stages.append(Stage(id="hear", title="Hear the marker", steps=(hear,)))

    def _every_host(self, parts: Parts) -> None:
        """Each host's logspout, by a line that logger must have got; its receiver gets them as well."""
        if not keeps_lines(self._snapshot, self._choices):
            return
        steps = [
            JobStep(
                id=f"reach:{host.name}",
                title=f"a line of {host.name} reaches logger",
                host=host.name,
                command=reach_command(self._snapshot),
                way=host.job_way,
                timeout=JOB_SECONDS,
                danger=Danger.WRITE,
            )
            for host in spouting(self._snapshot)
        ]
        if not steps:
            return
        clear = CommandStep(
            id="clear:reach",
            title="take these lines out of logger's storage",
            host=steps[0].host,
            command=clear_command(self._snapshot),
            danger=Danger.WRITE,
        )
        parts.stages += [
            Stage(
                id="reach",
                title="Every host's lines reach logger",
                steps=tuple(steps),
                hosts_at_a_time=SPOUTS_AT_A_TIME,
            ),
            Stage(id="clear", title="Clear up", steps=(clear,)),
        ]

    def _say(self, parts: Parts) -> None:
        """A marker for the operator's eyes."""
        host = speaker(self._snapshot)
        if host is None:
            return
        say = JobStep(
            id="say",
            title="say a marker, for you to look for at the receiver",
            host=host.name,
            command=say_command(self._snapshot, self._wanted),
            way=host.job_way,
            timeout=JOB_SECONDS,
            danger=Danger.WRITE,
            undo="its checksum is removed from etcd",
        )
        parts.stages.append(Stage(id="say", title="A marker through the cluster", steps=(say,)))
        parts.undo.insert(0, self._forget(MARKER_KEY, "say", "the marker"))
        parts.changes.append(
            Change(
                where="proof of the drain",
                current=None,
                desired=f"a marker that {host.name} says, for you to find",
                steps=("say",),
            )
        )

    def _prove(self, parts: Parts, sent: Sent) -> None:
        """The word was read there."""
        write = WriteKeyStep(
            id="write:proven",
            title="keep that the drain is proven: its word was read at the receiver",
            key=PROVEN_KEY,
            value=f"{sent.drain} {sent.checksum}",
            danger=Danger.WRITE,
            undo="the note is removed",
        )
        parts.stages.append(Stage(id="proven", title="The drain is proven", steps=(write,)))
        parts.undo.insert(0, self._forget(PROVEN_KEY, "write:proven", "that it was proven"))
        parts.changes.append(
            Change(
                where="proof of the drain",
                current=None,
                desired="its word was read at the receiver",
                steps=("write:proven",),
            )
        )
