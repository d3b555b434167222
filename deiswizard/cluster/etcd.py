"""etcd's v2 API behind one adapter.

python-etcd is kept from what it does unasked: trying again, dialling the members' private
addresses, watching without end, and calling an empty directory its own child.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlencode

import etcd
import urllib3

from deiswizard.cluster.access import EtcdNode
from deiswizard.cluster.etcd_host import BLINK
from deiswizard.cluster.http_channels import BASE_URL, OpenChannel, over
from deiswizard.cluster.secret_keys import is_secret
from deiswizard.cluster.snapshot import EtcdFacts, KeyFact, Member
from deiswizard.errors import PlanStaleError, ServiceError, WizardError

READ_TIMEOUT = 10.0
WRITE_TIMEOUT = 12.0
"""What needs a majority is answered after 7.0 s without one (lab): shorter would lose the cause."""

HEALTH_TIMEOUT = 3.0
BLINKED = urllib3.Retry(
    total=2, connect=0, read=1, other=0, redirect=0,
    status_forcelist=(503,), backoff_factor=BLINK / 2, raise_on_status=False,
)  # fmt: skip
"""A member that says it is not healthy is asked again at once, and after ``BLINK`` seconds; a silent one once."""

WATCH_SLICE = 1.0
PORTS = (2379, 4001)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}

logging.getLogger("etcd").setLevel(logging.CRITICAL)


def fact_of(node: dict[str, Any]) -> KeyFact:
    """A key from the node of an answer."""
    key, value = str(node["key"]), str(node.get("value", ""))
    secret = is_secret(key)
    return KeyFact.model_validate(
        {
            "key": key,
            "value": None if secret else value,
            "secret": value if secret else None,
            "is_secret": secret,
            "index": int(node.get("modifiedIndex", 0)),
            "ttl": node.get("ttl"),
        }
    )


def leaves(node: dict[str, Any]) -> Iterator[KeyFact]:
    """Every key below a node, depth first."""
    if node.get("dir"):
        for child in node.get("nodes") or ():
            yield from leaves(child)
    else:
        yield fact_of(node)


def everything(node: dict[str, Any]) -> Iterator[EtcdNode]:
    """Every key and directory below a node, a directory before what is in it."""
    is_dir = bool(node.get("dir"))
    value = None if is_dir else str(node.get("value", ""))
    yield EtcdNode(str(node.get("key", "/")), value, node.get("ttl"))
    for child in node.get("nodes") or ():
        yield from everything(child)


def parse_members(body: dict[str, Any]) -> tuple[Member, ...]:
    """The answer of ``/v2/members``. A member that never started has no name."""
    return tuple(
        Member(
            id=item["id"],
            name=item.get("name", ""),
            peer_urls=tuple(item.get("peerURLs") or ()),
            client_urls=tuple(item.get("clientURLs") or ()),
        )
        for item in body.get("members") or ()
    )


def parse_health(status: int, text: str) -> bool:
    """The answer of ``/health``: ``{"health": "true"}``, in some versions a bool."""
    try:
        said = json.loads(text).get("health")
    except (ValueError, AttributeError):
        return False
    return status == 200 and said in (True, "true")


class EtcdAdapter:
    """One etcd, reached by ``open_channel``. Implements ``access.EtcdAccess``.

    ``open_member`` opens a channel to a member's client URL (host, port); it serves only to ask
    the members' health.
    """

    def __init__(self, open_channel: OpenChannel, open_member: Any = None, via: str = "") -> None:
        self._via = via
        self._open_member = open_member
        self._client = etcd.Client(
            host="service.invalid", port=80, allow_reconnect=False, read_timeout=READ_TIMEOUT
        )
        self._http = over(self._client.http, open_channel)

    def close(self) -> None:
        """Give the channels back."""
        self._http.clear()

    def request(
        self,
        method: str,
        path: str,
        *,
        timeout: float = READ_TIMEOUT,
        json_body: Any = None,
        **fields: Any,
    ) -> tuple[int, str, dict[str, str]]:
        """One plain request; status, body and headers. Raises ServiceError when none came."""
        body = json.dumps(json_body) if json_body is not None else urlencode(fields)
        try:
            answer = self._http.request(
                method,
                BASE_URL + path,
                timeout=timeout,
                retries=False,
                body=body or None,
                headers=(JSON if json_body is not None else FORM) if body else None,
            )
        except WizardError:
            raise
        except (urllib3.exceptions.HTTPError, OSError, EOFError) as error:
            raise _no_answer(error, is_write=method != "GET") from error
        return answer.status, answer.data.decode("utf-8", "replace"), dict(answer.headers)

    def _keys(self, method: str, key: str, params: dict[str, str], **fields: str) -> dict[str, Any]:
        query = f"?{urlencode(params)}" if params else ""
        is_quick = method == "GET" and "quorum" not in params
        timeout = READ_TIMEOUT if is_quick else WRITE_TIMEOUT
        status, text, headers = self.request(
            method, f"/v2/keys{quote(key)}{query}", timeout=timeout, **fields
        )
        try:
            body = json.loads(text)
        except ValueError:
            raise ServiceError(
                f"etcd answered {status} without JSON to {method} {key}", said=text[:200]
            ) from None
        body["_index"] = int(headers.get("X-Etcd-Index") or 0)
        if "errorCode" in body:
            raise EtcdError(method, key, status, body)
        return dict(body)

    def get(self, key: str, *, quorum: bool = False) -> KeyFact | None:
        """As ``access.EtcdAccess.get``."""
        try:
            node = self._keys("GET", key, {"quorum": "true"} if quorum else {})["node"]
        except EtcdError as error:
            if error.code == 100:
                return None
            raise
        return None if node.get("dir") else fact_of(node)

    def tree(self, prefix: str) -> tuple[tuple[KeyFact, ...], int]:
        """As ``access.EtcdAccess.tree``."""
        try:
            body = self._keys("GET", prefix, {"recursive": "true", "sorted": "true"})
        except EtcdError as error:
            if error.code == 100:
                return (), error.index
            raise
        return tuple(leaves(body["node"])), body["_index"]

    def nodes(self, prefix: str) -> tuple[tuple[EtcdNode, ...], int]:
        """As ``access.EtcdAccess.nodes``."""
        try:
            body = self._keys("GET", prefix, {"recursive": "true", "sorted": "true"})
        except EtcdError as error:
            if error.code == 100:
                return (), error.index
            raise
        return tuple(everything(body["node"])), body["_index"]

    def put(self, key: str, value: str, *, expect: int | None, ttl: int | None = None) -> KeyFact:
        """As ``access.EtcdAccess.put``."""
        params: dict[str, str] = {}
        if expect == 0:
            params["prevExist"] = "false"
        elif expect is not None:
            params["prevIndex"] = str(expect)
        fields = {"value": value} | ({"ttl": str(ttl)} if ttl is not None else {})
        try:
            return fact_of(self._keys("PUT", key, params, **fields)["node"])
        except EtcdError as error:
            raise self._stale_or(error, key, expect) from error

    def remove(self, key: str, *, expect: int | None) -> None:
        """As ``access.EtcdAccess.remove``."""
        params = {"prevIndex": str(expect)} if expect else {}
        try:
            self._keys("DELETE", key, params)
        except EtcdError as error:
            raise self._stale_or(error, key, expect) from error

    def _stale_or(self, error: EtcdError, key: str, expect: int | None) -> WizardError:
        if error.code == 100 and expect:
            return PlanStaleError((f"{key} was removed",))
        if error.code in (101, 105):
            return PlanStaleError((f"{key} was changed by somebody else",))
        return error

    def wait_for_change(
        self, key: str, after: int, cancel: threading.Event
    ) -> Iterator[tuple[str, KeyFact]]:
        """Changes of ``key`` and below with an index greater than ``after``: (action, key).

        Ends when ``cancel`` is set. Raises ServiceError when etcd has forgotten that far back.
        """
        index = after
        while not cancel.is_set():
            try:
                body = self._watch_once(key, index + 1)
            except etcd.EtcdWatchTimedOut:
                continue
            except etcd.EtcdException as error:
                raise ServiceError(f"{key} cannot be watched", said=str(error)) from error
            index = body.modifiedIndex
            node = {"key": body.key, "value": body.value or "", "modifiedIndex": index}
            yield str(body.action), fact_of(node)

    def _watch_once(self, key: str, index: int) -> Any:
        try:
            return self._client.read(
                key, wait=True, waitIndex=index, recursive=True, timeout=WATCH_SLICE
            )
        except etcd.EtcdConnectionFailed as error:
            # Without flushed headers a wait that ends looks like a connection that failed.
            if isinstance(
                error.__cause__ or error.__context__, urllib3.exceptions.ReadTimeoutError
            ):
                raise etcd.EtcdWatchTimedOut from error
            raise

    def version(self) -> str:
        """The server's version. Raises ServiceError."""
        status, text, _ = self.request("GET", "/version", timeout=READ_TIMEOUT)
        try:
            return str(json.loads(text)["etcdserver"])
        except (ValueError, KeyError, TypeError):
            if status == 200 and text.startswith("etcd "):
                return text.removeprefix("etcd ").strip()
            raise ServiceError("something other than etcd answered", said=text[:200]) from None

    def members(self) -> tuple[Member, ...]:
        """As ``access.EtcdAccess.members``."""
        status, text, _ = self.request("GET", "/v2/members")
        try:
            if status == 200:
                members = parse_members(json.loads(text))
                leader = self._leader()
                return tuple(m.model_copy(update={"is_leader": m.id == leader}) for m in members)
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        raise ServiceError("etcd did not list its members", said=text[:200])

    def add_member(self, peer_url: str) -> Member:
        """As ``access.EtcdAccess.add_member``."""
        status, text, _ = self.request(
            "POST", "/v2/members", timeout=WRITE_TIMEOUT, json_body={"peerURLs": [peer_url]}
        )
        try:
            if status == 201:
                return parse_members({"members": [json.loads(text)]})[0]
        except (ValueError, KeyError, TypeError):
            pass
        raise MemberError(f"etcd did not add the member {peer_url}", status, text)

    def remove_member(self, member_id: str) -> None:
        """As ``access.EtcdAccess.remove_member``."""
        path = f"/v2/members/{quote(member_id, safe='')}"
        status, text, _ = self.request("DELETE", path, timeout=WRITE_TIMEOUT)
        if status not in (200, 204):
            raise MemberError(f"etcd did not remove the member {member_id}", status, text)

    def facts(self) -> EtcdFacts:
        """As ``access.EtcdAccess.facts``."""
        version = self.version()
        members = self.members()
        leader = next((member.id for member in members if member.is_leader), None)
        with ThreadPoolExecutor(max(1, len(members)), "etcd-health") as pool:
            healthy = list(pool.map(self._is_healthy, members))
        return EtcdFacts(
            version=version,
            members=tuple(
                member.model_copy(update={"healthy": ok})
                for member, ok in zip(members, healthy, strict=True)
            ),
            leader=leader,
            healthy=sum(ok is True for ok in healthy) > len(members) // 2,
            via=self._via,
        )

    def _leader(self) -> str | None:
        """``/v2/members/leader``; etcd before 2.3 has only leaderInfo of ``/v2/stats/self``."""
        status, text, _ = self.request("GET", "/v2/members/leader")
        try:
            if status == 200:
                return str(json.loads(text)["id"]) or None
            if status == 404:
                _, text, _ = self.request("GET", "/v2/stats/self")
                return str(json.loads(text)["leaderInfo"]["leader"]) or None
        except (ValueError, KeyError, TypeError):
            return None
        return None

    def _is_healthy(self, member: Member) -> bool | None:
        """Asked at the member's own client URL, because through a proxy another one answers."""
        if not member.client_urls or self._open_member is None:
            return None
        url = urllib3.util.parse_url(member.client_urls[0])
        manager = over(
            urllib3.PoolManager(),
            lambda: self._open_member(url.host or "", url.port or PORTS[0]),
        )
        try:
            answer = manager.request(
                "GET", BASE_URL + "/health", timeout=HEALTH_TIMEOUT, retries=BLINKED
            )
            return parse_health(answer.status, answer.data.decode("utf-8", "replace"))
        except (WizardError, urllib3.exceptions.HTTPError, OSError, EOFError):
            return False
        finally:
            manager.clear()


class EtcdError(ServiceError):
    """etcd's own error: ``code`` is its errorCode (100 missing, 101 compare failed, 105 exists)."""

    def __init__(self, method: str, key: str, status: int, body: dict[str, Any]) -> None:
        self.code = int(body["errorCode"])
        self.index = int(body.get("index") or body.get("_index") or 0)
        said = f"{body.get('message', '')} ({body.get('cause', '')})"
        super().__init__(
            f"etcd refused to {'read' if method == 'GET' else 'change'} {key}",
            said=f"{self.code}: {said}",
            state=_LATER if self.code == 300 else "the key is as it was",
            do="see whether etcd has a majority of healthy members" if self.code == 300 else "",
        )
        self.status = status


class MemberError(ServiceError):
    """What etcd answered to a change of its members, by ``status``.

    409: there is a member with that peer URL; 410: removed before; 404: no such member. After a 500
    it is not known: without a majority, or within seconds of another join, the same is said
    (lab.md 1), and what timed out may be applied later.
    """

    def __init__(self, what: str, status: int, text: str) -> None:
        try:
            said = str(json.loads(text)["message"])
        except (ValueError, KeyError, TypeError):
            said = text.strip()[:200]
        is_open = status >= 500
        super().__init__(
            what,
            said=f"{status}: {said}",
            state=_LATER if is_open else "etcd's members are as they were",
            do="see whether etcd has a majority of healthy members" if is_open else "",
        )
        self.status = status


_LATER = "not known: a write that timed out may still be applied when etcd has a majority again"


def _no_answer(error: Exception, *, is_write: bool) -> ServiceError:
    return ServiceError(
        "etcd did not answer",
        said=type(error).__name__,
        state=_LATER if is_write else "",
        do="see whether etcd runs on that host and has a majority of healthy members",
    )
