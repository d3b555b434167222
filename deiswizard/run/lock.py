"""One operator at a time: a key in etcd that a run holds, and renews while it lives.

A run takes the lock before it looks whether its plan still holds, and gives it back when it ends,
however it ends. Whoever finds it held is refused, and may break exactly the lock that was seen.
A run that has lost its lock begins no other step.
"""

from __future__ import annotations

import getpass
import secrets
import shlex
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from deiswizard import __version__
from deiswizard.background import background
from deiswizard.cluster.access import ClusterAccess, EtcdAccess
from deiswizard.cluster.lock_key import (
    KEY,
    LAST_KEY,
    ends_of,
    parse_lock,
    read_lock,
    said_of,
    value_of,
)
from deiswizard.cluster.snapshot import Lock
from deiswizard.errors import LockedError, PlanStaleError, ServiceError, WizardError
from deiswizard.plan.step import Step
from deiswizard.run import lock_decisions as decide
from deiswizard.run.events import (
    Event,
    LockAcquired,
    LockBroken,
    LockConfirmed,
    LockLost,
    LockReleased,
    LockRequested,
    LockUnconfirmed,
)
from deiswizard.run.journal import is_being_written, read_journal
from deiswizard.run.lock_decisions import TTL, Finding, Hold
from deiswizard.vocabulary import Danger

TICKS = 30
"""Looks at the clock in one TTL: so much later at most a new ``doing`` is told."""

TRIES = 3
"""Of a write without an answer, before taking the lock is given up."""

RELEASE_SECONDS = 15.0
"""How long the end of a run waits for its lock to be given back; then it ends by itself."""

RISK = (
    "If that wizard is still alive, two runs change the cluster at once for a while: what it does "
    "now goes on, and it stops before its next step."
)
"""What breaking a lock may cost, for whoever decides it."""

UNTOUCHED = "nothing was changed by this run"


def whoami() -> str:
    """``user@machine`` of the operator, for the lock and the journal."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return "unknown"


def waking_clock() -> float:
    """Seconds that go on while the machine sleeps, which ``time.monotonic`` does not count."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def is_left_behind(holder: Lock, runs: Path, own: str = "") -> bool:
    """Whether a wizard of this operator on this machine held it, and has ended without a word.

    Its run is among ``runs``, its journal names this very lock, and no process writes it any more;
    or it is the run ``own`` that is taken up again, whose journal only the asker writes.
    """
    folder = runs / Path(holder.run).name
    if not holder.run or holder.owner != whoami():
        return False
    if holder.run != own and is_being_written(folder):
        return False
    with suppress(WizardError):
        for event in read_journal(folder):
            if isinstance(event, LockRequested) and event.lock.token == holder.token:
                return True
    return False


def way_out(holder: Lock) -> str:
    """What somebody can do who finds the lock held."""
    return (
        f"wait until that run is done ({ends_of(holder)}), or break its lock: "
        f"--break-lock {shlex.quote(holder.owner)}"
    )


def refusal(holder: Lock, now: float) -> LockedError:
    """The error for whoever finds the lock held."""
    return LockedError(
        "another run holds the lock of this cluster",
        said=said_of(holder, now),
        state=UNTOUCHED,
        do=way_out(holder),
        holder=holder,
    )


class RunLock:
    """The lock of one run: ``acquire``, ``allows`` before each step, ``release``. Thread-safe.

    Args:
        folder: the run's folder; its name is the run's id.
        is_needed: the run changes something. One that only reads takes no lock.
        doing: what the run does now, in words; told with each renewal.
        break_token: the lock that the operator has decided to break, if it is held.
        on_lost: called once, when the lock is lost.
        clock: seconds since the epoch. passing: seconds for time spans.
    """

    def __init__(
        self,
        access: ClusterAccess,
        emit: Callable[[Event], None],
        *,
        folder: Path,
        is_needed: bool,
        doing: Callable[[], str],
        break_token: str = "",
        on_lost: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
        passing: Callable[[], float] = waking_clock,
        ttl: int = TTL,
    ) -> None:
        self.lost = ""
        self._is_confirmed = True
        self._access = access
        self._known: EtcdAccess | None = None
        self._emit = emit
        self._folder = folder
        self._is_needed = is_needed
        self._doing = doing
        self._break_token = break_token
        self._on_lost = on_lost
        self._clock = clock
        self._passing = passing
        self._ttl = ttl
        self._lock = Lock(
            owner=whoami(),
            run=folder.name,
            since=None,
            wizard=__version__,
            token=secrets.token_hex(16),
        )
        self._hold: Hold | None = None
        self._broken: LockBroken | None = None
        self._turning = threading.Lock()
        self._looks = 0
        self._ended = threading.Event()

    def acquire(self) -> None:
        """Take the lock, and keep it from now on.

        Raises:
            LockedError: somebody else holds it.
            ServiceError: etcd could not be asked, or did not confirm it.
        """
        if not self._is_needed:
            return
        self._lock = self._lock.model_copy(update={"since": self._clock(), "doing": self._doing()})
        problem: WizardError | None = None
        for _ in range(TRIES):
            try:
                self._take()
                break
            except PlanStaleError as error:
                problem = error  # somebody was faster: the next look tells who
            except LockedError:
                raise
            except WizardError as error:
                self._known = None
                problem = error
                if not error.is_outcome_unknown:
                    self._give_up(error)
        else:
            assert problem is not None
            self._give_up(problem)
        if self._broken is not None:
            self._emit(self._broken)
        self._emit(LockAcquired(at=self._clock(), lock=self._lock))
        threading.Thread(target=self._keep, name=f"lock-{self._folder.name}", daemon=True).start()

    def _take(self) -> None:
        self._hold = None
        asked_at = self._passing()
        fact = self._etcd().get(KEY, quorum=True)
        holder = parse_lock(fact)
        if fact is not None and holder is not None:
            if holder.token == self._lock.token:  # an unanswered write of ours went through
                self._hold = Hold(holder.token, fact.index, asked_at, asked_at, holder.doing)
                self._renew(holder.doing)
            else:
                said = self._why_break(holder)
                if not said:
                    raise refusal(holder, self._clock())
                self._broken = LockBroken(at=self._clock(), holder=holder, said=said)
                self._write_first(fact.index)
        else:
            self._broken = None
            self._write_first(0)
        self._etcd().put(LAST_KEY, value_of(self._lock), expect=None)

    def _give_up(self, error: WizardError) -> NoReturn:
        """Not taken. What may still have been written is removed where etcd allows it."""
        self._hold = None
        background(self._remove, name="unlock").wait(RELEASE_SECONDS)
        raise ServiceError(
            "the lock of the cluster could not be taken",
            said=str(error),
            state=UNTOUCHED,
            do=error.do,
        ) from error

    def _why_break(self, holder: Lock) -> str:
        """Why another's lock may be broken; empty: it may not."""
        if is_left_behind(holder, self._folder.parent, self._folder.name):
            return "its wizard ended without giving it back"
        is_meant = holder.token == self._break_token
        return f"by decision of {self._lock.owner}" if is_meant else ""

    def _write_first(self, index: int) -> None:
        """In the place of exactly the lock that was seen, so that nobody comes in between."""
        self._emit(LockRequested(at=self._clock(), lock=self._lock))
        self._write(self._lock.doing, index)

    def _renew(self, doing: str) -> None:
        assert self._hold is not None
        self._write(doing, self._hold.index)

    def _write(self, doing: str, expect: int) -> None:
        sent_at = self._passing()
        put = self._etcd().put(KEY, self._value(doing), expect=expect, ttl=self._ttl)
        self._hold = decide.written(self._lock.token, put.index, sent_at, doing, self._ttl)

    def _value(self, doing: str) -> str:
        return value_of(self._lock.model_copy(update={"doing": doing}))

    def _etcd(self) -> EtcdAccess:
        """Asked for again only after trouble: that costs a question of its own."""
        if self._known is None:
            self._known = self._access.etcd()
        return self._known

    def _keep(self) -> None:
        while not self._ended.wait(self._ttl / TICKS):
            self.turn()

    def allows(self, step: Step) -> bool:
        """Whether a step may begin. Before one that changes something, etcd is asked.

        Where etcd does not answer, the lock counts as held until its time is up.
        """
        if self._hold is not None and step.danger is not Danger.READ:
            self.turn(is_border=True)
        return not self.lost

    def turn(self, *, is_border: bool = False) -> None:
        """Renew the lock when it is time; find out what became of it where that is not sure.

        ``is_border``: a step waits, so look in any case, and do without a lock whose time is up.
        Without an answer nothing is known, and the next turn asks again.
        """
        before = self._looks
        with self._turning:
            for _ in range(2):  # a write that was refused is looked into at once
                if self._hold is None or self.lost or self._ended.is_set():
                    return
                # lanes that come to a border together share a look that began after they came
                wants_look = is_border and self._looks <= before
                try:
                    if wants_look or not self._hold.is_sure or self._is_out():
                        self._look()
                    if not self.lost and decide.is_due(
                        self._hold, self._passing(), doing := self._doing(), self._ttl
                    ):
                        self._renew(doing)
                    self._confirm()
                    break
                except PlanStaleError:
                    self._hold = decide.doubted(self._hold)
                except WizardError as error:
                    self._hold = decide.doubted(self._hold)
                    self._known = None
                    self._doubt(error)
                    break
            if is_border and not self.lost and self._is_out():
                self._lose(Finding.RAN_OUT, None)

    def _doubt(self, error: WizardError) -> None:
        """Tell once that etcd does not answer, and how long the lock counts as held."""
        if self._is_confirmed and self._hold is not None:
            self._is_confirmed = False
            until = self._clock() + self._hold.until - self._passing()
            self._emit(LockUnconfirmed(at=self._clock(), until=until, said=str(error)))

    def _confirm(self) -> None:
        if not self._is_confirmed and not self.lost:
            self._is_confirmed = True
            self._emit(LockConfirmed(at=self._clock()))

    def _is_out(self) -> bool:
        """Its time is up: somebody else may have it by now."""
        return self._hold is not None and self._passing() >= self._hold.until

    def _look(self) -> None:
        """Read the key; take the lock again if it ran out and nobody has had it since."""
        assert self._hold is not None
        self._looks += 1
        asked_at, was_out = self._passing(), self._is_out()
        fact = self._etcd().get(KEY, quorum=True)
        found = parse_lock(fact)
        finding = decide.judge(self._hold, asked_at, found)
        if finding in (Finding.TAKEN, Finding.REMOVED):
            self._lose(finding, found or self._last())
            return
        if fact is None:
            fact = self._etcd().put(KEY, self._value(self._hold.doing), expect=0, ttl=self._ttl)
        if was_out:
            last = read_lock(self._etcd(), LAST_KEY, quorum=True)
            if last is None or last.token != self._lock.token:
                self._etcd().remove(KEY, expect=fact.index)
                self._lose(Finding.RAN_OUT, last)
                return
        if was_out or not self._hold.is_sure or fact.index != self._hold.index:
            self._hold = decide.adopted(self._hold, fact.index)
            self._renew(self._doing())
        if was_out:
            self._emit(LockAcquired(at=self._clock(), lock=self._lock, is_again=True))

    def _last(self) -> Lock | None:
        """Who has had the lock since it was ours, for the words."""
        with suppress(WizardError):
            last = read_lock(self._etcd(), LAST_KEY, quorum=True)
            return None if last is None or last.token == self._lock.token else last
        return None

    def _lose(self, finding: Finding, by: Lock | None) -> None:
        self.lost = decide.why_lost(finding, by, self._ttl)
        self._emit(LockLost(at=self._clock(), said=self.lost))
        self._on_lost()

    def release(self, *, is_left: bool = False) -> None:
        """Give the lock back. Never raises, and waits for etcd only a while.

        ``is_left``: the run is left to another wizard, which finds the lock until its time is up.
        """
        self._ended.set()
        if self._hold is None or self.lost or is_left:
            return
        removing = background(self._remove, name="unlock")
        is_gone = removing.wait(RELEASE_SECONDS) and removing.error is None
        said = "" if is_gone else f"etcd did not answer: it ends by itself within {self._ttl} s"
        self._emit(LockReleased(at=self._clock(), said=said))

    def _remove(self) -> None:
        """Remove the key if it is ours."""
        with self._turning:
            for _ in range(TRIES):
                fact = self._etcd().get(KEY, quorum=True)
                found = parse_lock(fact)
                if fact is None or found is None or found.token != self._lock.token:
                    return
                with suppress(PlanStaleError):
                    self._etcd().remove(KEY, expect=fact.index)
                    return
