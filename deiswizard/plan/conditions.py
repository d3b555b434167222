"""Conditions that guards check and waits await: questions with a yes or no, as data."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from deiswizard.cluster.web import OK, WebAnswer, WebRequest
from deiswizard.frozen import Frozen
from deiswizard.plan.etcd_stands import EtcdStands
from deiswizard.plan.fleet_conditions import (
    MachinesCarry,
    MetadataIs,
    UnitRunsOn,
    UnitsElsewhere,
    UnitsStay,
    UnitStopped,
)
from deiswizard.plan.reach_conditions import ClusterWhole, FreshLogin, PortsTake


class CommandSays(Frozen):
    """A read-only command on a host ends with 0 and its output matches ``pattern`` (re.search)."""

    kind: Literal["command-says"] = "command-says"
    host: str
    command: str
    pattern: str
    sudo: bool = False


class KeyIs(Frozen):
    """An etcd key has exactly this value; None: it is absent."""

    kind: Literal["key-is"] = "key-is"
    key: str
    value: str | None


class ImagePresent(Frozen):
    """The host's Docker engine has the image in its local store."""

    kind: Literal["image-present"] = "image-present"
    host: str
    image: str


class DiskRoom(Frozen):
    """The file system that holds ``path`` has at least ``needed`` bytes free.

    ``images`` are what the room is for, with the bytes of each: what the host has got by now, in a
    run that is taken up again, needs no room any more.
    """

    kind: Literal["disk-room"] = "disk-room"
    host: str
    path: str
    needed: int
    images: tuple[tuple[str, int], ...] = ()


class UnitDone(Frozen):
    """A one-shot fleet unit has ended well on one machine (active/exited).

    It never will once it has failed there. ``machine`` is the whole machine id, ``host`` its name.
    """

    kind: Literal["unit-done"] = "unit-done"
    unit: str
    host: str
    machine: str


class UnitRunning(Frozen):
    """A fleet unit runs on one machine (active/running), and still does ``steady`` seconds later.

    One that ends and is started again over and over is seen running now and then.
    """

    kind: Literal["unit-running"] = "unit-running"
    unit: str
    host: str
    machine: str
    steady: float = 0.0


class UnitGone(Frozen):
    """fleet knows no such unit, and no machine reports anything of it."""

    kind: Literal["unit-gone"] = "unit-gone"
    unit: str


class MemberListed(Frozen):
    """etcd lists a member of exactly that id."""

    kind: Literal["member-listed"] = "member-listed"
    id: str


class NoMember(Frozen):
    """etcd lists no member of that peer URL, started or not, by a majority."""

    kind: Literal["no-member"] = "no-member"
    peer_url: str


RELOADED = 0.5
"""Seconds after which no worker of before answers any more: a reload starts nginx' new workers 0.1 s
before it ends the old ones, and until then it is chance who answers."""


class WebSays(Frozen):
    """A service answers a client as it should.

    ``status`` is a pattern for the whole of the status; ``header`` a name, and a pattern searched
    in its value. ``leaf`` is the sha256 (hex) of the certificate that must be served, empty: any.
    ``trusted``: a client of this machine (with the request's ``roots``) must accept it. ``steady``:
    it must answer so for that many seconds, asked again and again.
    """

    kind: Literal["web-says"] = "web-says"
    request: WebRequest
    status: str
    header: tuple[str, str] | None = None
    leaf: str = ""
    trusted: bool = False
    steady: float = 0.0

    def why_not(self, answer: WebAnswer) -> str:
        """What of the answer is not as it should be; empty when it all is."""
        if answer.status is None or not re.fullmatch(self.status, str(answer.status)):
            return answer.summary
        if self.leaf and answer.leaf != self.leaf:
            served = answer.leaf[:12] or "none"
            return f"{answer.summary}, with certificate {served} instead of {self.leaf[:12]}"
        if self.trusted and answer.trust != OK:
            return f"the certificate is not trusted: {answer.trust or 'there is none'}"
        if self.header is not None:
            name, pattern = self.header
            if not re.search(pattern, answer.header(name)):
                return f"{answer.summary}, {name}: {answer.header(name) or 'absent'}"
        return ""


Condition = Annotated[
    CommandSays
    | KeyIs
    | ImagePresent
    | DiskRoom
    | UnitDone
    | UnitRunning
    | UnitGone
    | UnitStopped
    | UnitRunsOn
    | UnitsStay
    | UnitsElsewhere
    | MachinesCarry
    | MetadataIs
    | WebSays
    | FreshLogin
    | PortsTake
    | ClusterWhole
    | EtcdStands
    | MemberListed
    | NoMember,
    Field(discriminator="kind"),
]
