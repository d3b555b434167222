"""TLS that a load balancer ends: what ``deis.DOMAIN`` shows to whoever asks for it from a host.

No command of ours reaches a load balancer, so it is asked as a client would ask it. That it cannot be
reached from the cluster is no fault of it: then nothing is said about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deiswizard.cluster.snapshot import Evidence, HostFacts, Question, Snapshot, web_question
from deiswizard.cluster.web import OK, WebAnswer, WebRequest
from deiswizard.leaf import Leaf, covers
from deiswizard.plan.conditions import WebSays
from deiswizard.recommendations.tls.choices import DAY, SOON_DAYS, day
from deiswizard.recommendations.tls.facts import domain, routers, site
from deiswizard.vocabulary import Status

BALANCER, ADDRESSES = "tls.balancer", "tls.addresses"
NOT_ENDLESS = r"(?!30[178])[2345]\d\d"
ANSWERED = r"(?!30[178]|400)[234]\d\d"
"""By the controller: neither sent round in circles, nor the 400 and 50x of a PROXY line that nobody expects."""

MOVED = (301, 307, 308)


@dataclass(frozen=True)
class Balancer:
    """What was seen of ``name``:443 from ``host``. ``addresses``: where the name leads to from there."""

    name: str
    host: str
    addresses: tuple[str, ...]
    web: WebAnswer
    evidence: Evidence

    @property
    def leaf(self) -> Leaf | None:
        """What it shows; None: it spoke no TLS."""
        return self.web.certificate

    @property
    def why_unseen(self) -> str:
        """Why nothing is known of it; empty: it spoke TLS."""
        if self.leaf is not None:
            return ""
        if not self.addresses:
            return f"{self.name} is not known on {self.host}"
        where = f"{self.name}:443 ({', '.join(self.addresses[:2])})"
        return f"{where} cannot be asked from {self.host}: {self.web.said or 'no answer'}"

    @property
    def is_endless(self) -> bool:
        """It sends whoever comes by https to where he came to."""
        target = self.web.header("Location").rstrip("/")
        return self.web.status in MOVED and target in (
            f"https://{self.name}",
            f"https://{self.name}:443",
        )


def asker(snapshot: Snapshot) -> HostFacts | None:
    """Who asks: rather a host without a router, because some load balancers send nobody back to himself."""
    serving = {host.name for host in routers(snapshot)}
    others = [host for host in snapshot.reachable_hosts if host.name not in serving]
    return next(iter([*others, *snapshot.reachable_hosts]), None)


def request(snapshot: Snapshot) -> WebRequest | None:
    """The controller, asked for by its own name."""
    host, name = asker(snapshot), site(snapshot)
    if host is None or not domain(snapshot):
        return None
    return WebRequest(host=host.name, name=name, address=name, port=443, tls=True)


def questions(snapshot: Snapshot) -> tuple[Question, ...]:
    """Where the name leads to, and what is there."""
    asked = request(snapshot)
    if asked is None:
        return ()
    lookup = Question(id=ADDRESSES, host=asked.host, command=f"getent ahosts {asked.name}")
    return (lookup, web_question(BALANCER, asked))


def seen(snapshot: Snapshot) -> Balancer | None:
    """What the look has found; None: nobody could ask."""
    answer = snapshot.answer(BALANCER)
    if answer is None:
        return None
    lookup = snapshot.answer(ADDRESSES, answer.host)
    found = [line.split()[0] for line in lookup.out.splitlines() if line.split()] if lookup else []
    web = answer.web or WebAnswer(said=answer.err)
    return Balancer(site(snapshot), answer.host, tuple(dict.fromkeys(found)), web, answer.evidence)


def shows_tls(snapshot: Snapshot) -> bool:
    """Something there speaks TLS."""
    found = seen(snapshot)
    return found is not None and found.leaf is not None


def faults(snapshot: Snapshot) -> Iterator[tuple[Status, str]]:
    """What is wrong with the certificate that it shows, and with a request that goes through it."""
    found = seen(snapshot)
    if found is None or found.leaf is None:
        return
    leaf, left, own = found.leaf, found.leaf.ends - snapshot.taken_at, domain(snapshot)
    whose = f"the certificate that {found.name} shows"
    if left <= 0:
        yield Status.AT_RISK, f"{whose} has ended on {day(leaf.ends)}"
    elif left < SOON_DAYS * DAY:
        yield Status.SOON, f"{whose} ends in {left / DAY:.0f} days, on {day(leaf.ends)}"
    wanted = (f"deis.{own}", f"*.{own}", f"deis-store.{own}")
    if missing := [name for name in wanted if not covers(leaf.names, name)]:
        yield Status.PARTLY, f"{whose} is not valid for {', '.join(missing)}"
    if found.web.trust != OK and left > 0:
        yield Status.PARTLY, f"clients do not trust {whose}: {found.web.trust or 'no answer'}"
    if found.is_endless:
        yield (
            Status.AT_RISK,
            f"{found.name} sends https to https for ever: the load balancer sends no X-Forwarded-Proto",
        )
    elif found.web.status is None or found.web.status >= 500 or found.web.status == 400:
        yield (
            Status.AT_RISK,
            f"a request through {found.name} gets no answer of the controller ({found.web.summary}): the load "
            "balancer and the routers may not agree on the PROXY protocol",
        )


def passes(snapshot: Snapshot, header: tuple[str, str] | None = None) -> WebSays | None:
    """A request through it is answered, with that header; None: it could not be asked when looked at."""
    asked = request(snapshot)
    if asked is None or not shows_tls(snapshot):
        return None
    return WebSays(request=asked, status=ANSWERED, header=header)
