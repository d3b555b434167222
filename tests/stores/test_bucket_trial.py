"""A bucket is tried as the registry would use it, on moto's server and on the demo's alike."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from deiswizard.commands.opening import TerminalAsker
from deiswizard.demo import outside_store
from deiswizard.demo.cluster import PretendCluster
from deiswizard.demo.outside_store import ACCESS, AMAZON, BUCKET, SECRET
from deiswizard.demo.scenario import load
from deiswizard.errors import ServiceError, StepError
from deiswizard.session import Session
from deiswizard.stores.bucket import Bucket, Credentials, client, role_credentials
from deiswizard.stores.trial import try_bucket
from tests.stores.bucket_stores import KINDS, Outside, outside
from tests.waiting import until


@pytest.fixture(params=KINDS)
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Outside]:
    with outside(request.param, tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture(params=[kind for kind in KINDS if kind.startswith("pretend")])
def refusing(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Outside]:
    """Moto asks nobody for a signature."""
    with outside(request.param, tmp_path, monkeypatch) as made:
        yield made


def test_a_good_bucket_is_listed_written_read_and_left_as_it_was(store: Outside) -> None:
    assert try_bucket(store.client(), store.bucket) is None
    assert store.asked == ["ListObjects", "PutObject", "GetObject", "DeleteObject"]
    assert store.objects() == {}
    store.put("elsewhere/x", b"not below the path")
    assert try_bucket(store.client(), store.bucket) is None
    store.put(f"{store.bucket.prefix}docker/a", b"image")
    assert try_bucket(store.client(), store.bucket) == 1
    assert set(store.objects()) == {"elsewhere/x", f"{store.bucket.prefix}docker/a"}


def test_amazons_bucket_is_asked_by_its_own_name_and_encrypts(store: Outside) -> None:
    sent: list[str] = []
    made = store.client()
    made.meta.events.register(
        "before-send.s3.PutObject",
        lambda request, **_: sent.append(str(request.headers.get("x-amz-server-side-encryption"))),
    )
    try_bucket(made, store.bucket)
    is_amazon = store.bucket.kind == "s3"
    where = f"{BUCKET}.{AMAZON}:443" if is_amazon else f"{store.host}:80"
    assert set(store.opened[-1:]) == {where}
    assert "AES256" in sent[0] if is_amazon else sent == ["None"]


def test_no_bucket_of_that_name(store: Outside) -> None:
    none = store.bucket.model_copy(update={"bucket": "nobodys"})
    store.addresses[f"nobodys.{AMAZON}:443"] = store.addresses[f"{AMAZON}:443"]
    with pytest.raises(StepError, match="there is no bucket nobodys") as caught:
        try_bucket(store.client(bucket=none), none)
    assert caught.value.said.startswith("NoSuchBucket") and "make it first" in caught.value.do


@pytest.mark.parametrize(("action", "right", "left"), [
    ("list", "s3:ListBucket", 0), ("put", "s3:PutObject", 0), ("get", "s3:GetObject", 0), ("delete", "s3:DeleteObject", 1),
])  # fmt: skip
def test_the_right_that_is_missing_is_named(
    refusing: Outside, action: str, right: str, left: int
) -> None:
    assert refusing.pretend is not None
    refusing.pretend.forbids = {action}
    with pytest.raises(StepError, match=f"these keys may not {action} in ") as caught:
        try_bucket(refusing.client(), refusing.bucket)
    assert right in caught.value.do
    assert len(refusing.pretend.content.buckets[BUCKET]) == left


def test_a_store_that_demands_version_4(refusing: Outside) -> None:
    assert refusing.pretend is not None
    refusing.pretend.demands_v4 = True
    with pytest.raises(StepError, match="only requests that are signed in version 4"):
        try_bucket(refusing.client(), refusing.bucket)


@pytest.mark.parametrize(("access", "secret"), [(ACCESS, "another"), ("AKIAANOTHER", SECRET)])
def test_wrong_keys_and_no_key_in_the_words(refusing: Outside, access: str, secret: str) -> None:
    keys = Credentials(access=SecretStr(access), secret=SecretStr(secret))
    with pytest.raises(StepError, match="does not know these keys") as caught:
        try_bucket(refusing.client(keys), refusing.bucket)
    assert secret not in f"{caught.value} {caught.value.do} {caught.value.said}"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("PermanentRedirect", "is in another region"),
        ("RequestTimeTooSkewed", "clock is wrong"),
    ],
)
def test_what_amazon_says_besides(refusing: Outside, code: str, words: str) -> None:
    assert refusing.pretend is not None
    refusing.pretend.answers = code
    with pytest.raises(StepError, match=words):
        try_bucket(refusing.client(), refusing.bucket)


def test_an_object_that_is_cut_off_is_an_error_of_the_store(refusing: Outside) -> None:
    assert refusing.pretend is not None
    refusing.pretend.cuts = 1
    with pytest.raises(ServiceError):
        try_bucket(refusing.client(), refusing.bucket)
    assert refusing.objects() == {}


def test_tls_is_refused_without_the_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with outside("pretend s3", tmp_path, monkeypatch) as store:
        monkeypatch.delenv("AWS_CA_BUNDLE")
        with pytest.raises(ServiceError, match="CERTIFICATE_VERIFY_FAILED"):
            try_bucket(store.client(), store.bucket)
        assert store.asked == ["ListObjects"]


def test_tls_is_refused_by_another_name_than_the_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside_store, "AMAZON", "s3.elsewhere.com")
    with outside("pretend s3", tmp_path, monkeypatch) as store:
        store.addresses[f"{BUCKET}.{AMAZON}:443"] = store.addresses["s3.elsewhere.com:443"]
        with pytest.raises(ServiceError, match="doesn't match either of"):
            try_bucket(store.client(), store.bucket)


def test_a_connection_that_the_store_closed_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stores close idle connections; between two large objects one may well be idle."""
    with outside("pretend s3", tmp_path, monkeypatch) as store:
        channels: list[socket.socket] = []

        def open_to(host: str, port: int) -> socket.socket:
            channels.append(store.open_to(host, port))
            return channels[-1]

        made = client(store.bucket, Credentials(access=SecretStr(ACCESS), secret=SecretStr(SECRET)), open_to)  # fmt: skip
        made.head_bucket(Bucket=BUCKET)
        made.head_bucket(Bucket=BUCKET)
        assert len(channels) == 1
        channels[0].shutdown(socket.SHUT_RDWR)  # as when the other side has ended
        until(lambda: channels[0].fileno() == -1)
        made.head_bucket(Bucket=BUCKET)
        assert len(channels) == 2
        made.close()


def test_no_thread_stays_when_the_client_has_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with outside("pretend s3", tmp_path, monkeypatch) as store:
        others = joining()
        made = store.client()
        made.head_bucket(Bucket=BUCKET)
        assert joining() - others
        made.close()
        until(lambda: not joining() - others)


def joining() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "join"}


@contextlib.contextmanager
def pretend_host(folder: Path, role: str) -> Iterator[tuple[PretendCluster, Session]]:
    made = load("three").model_copy(update={"role": role})
    with PretendCluster.start(made, speed=50, folder=folder) as cluster:
        session = Session.open(cluster.target, TerminalAsker())
        yield cluster, session
        session.close()
        assert cluster.unknown_commands == ()


def test_the_role_of_a_host_opens_the_bucket_through_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pretend_host(tmp_path, "deis") as (cluster, session):
        monkeypatch.setenv("AWS_CA_BUNDLE", str(cluster.outside_store.ca_file))
        host = session.access.host("deis-2")
        keys = role_credentials(host)
        assert keys.token is not None and SECRET not in repr(keys)
        made = client(Bucket(bucket=BUCKET, region="eu-west-1"), keys, host.open_tcp)
        assert try_bucket(made, Bucket(bucket=BUCKET, region="eu-west-1")) is None
        sent = cluster.outside_store.content.buckets[BUCKET]
        assert sent == {}


def test_a_host_without_a_role_says_so(tmp_path: Path) -> None:
    with (
        pretend_host(tmp_path, "") as (_, session),
        pytest.raises(StepError, match="deis-1 is no EC2 instance") as caught,
    ):
        role_credentials(session.access.host("deis-1"))
    assert caught.value.do == "use keys"
