"""Docker: the daemon's words sorted, and the adapter against an engine of Deis's time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from deiswizard.cluster.access import LayerReport
from deiswizard.cluster.docker import DockerAdapter, classify, layer_report, parse_images
from deiswizard.demo.cluster import PretendCluster
from deiswizard.errors import CancelledError, PullError, ServiceError


@pytest.mark.parametrize(
    ("said", "cause", "is_transient"),
    [
        ("write /var/lib/docker/tmp/x: no space left on device", "no room", False),
        ("toomanyrequests: You have reached your pull rate limit", "slow down", True),
        (
            "Cannot connect to the Docker daemon. Is the docker daemon running on this host?",
            "the engine of that host",
            True,
        ),
        ("unexpected EOF", "registry did not answer", True),
        ("received unexpected HTTP status: 429 Too Many Requests", "slow down", True),
        ("unauthorized: authentication required", "does not let", False),
        ("Error: image deis/nope:v1 not found", "no such image", False),
        ("manifest unknown: manifest unknown", "no such image", False),
        ("x509: certificate signed by unknown authority", "TLS", False),
        ("net/http: TLS handshake timeout", "did not answer", True),
        ("dial tcp: lookup registry.local: no such host", "resolved", False),
        ("read tcp 10.0.0.1:443: connection reset by peer", "did not answer", True),
        ("received unexpected HTTP status: 500 Internal Server Error", "did not answer", True),
        ("something nobody foresaw", "could not be pulled", False),
    ],
)
def test_the_daemons_words_are_sorted(said: str, cause: str, is_transient: bool) -> None:
    error, transient = classify("deis/x:1", said)
    assert cause in error.what and error.said == said and error.do
    assert transient is is_transient


def test_only_lines_about_layers_are_reported() -> None:
    assert layer_report({"status": "Pulling from deis/router", "id": "v1.13.4"}) is None
    assert layer_report({"status": "Pulling from deis/router", "id": "abcdef12"}) is None
    assert layer_report({"status": "Digest: sha256:0"}) is None
    line = {
        "status": "Downloading",
        "progressDetail": {"current": 5, "total": 9},
        "id": "a3ed95caeb02",
    }
    assert layer_report(line) == LayerReport("a3ed95caeb02", "Downloading", 5, 9)
    assert layer_report({"status": "Pull complete", "id": "a3ed95caeb02"}) == LayerReport(
        "a3ed95caeb02", "Pull complete"
    )


def test_untagged_images_have_no_tags() -> None:
    images = parse_images(
        [{"Id": "sha256:1", "RepoTags": ["<none>:<none>"]}, {"Id": "2", "RepoTags": None}]
    )
    assert [image.tags for image in images] == [(), ()]


@pytest.fixture(scope="module")
def pretend() -> Iterator[PretendCluster]:
    with PretendCluster.start("troubled", speed=100) as cluster:
        yield cluster


def adapter(pretend: PretendCluster, name: str) -> DockerAdapter:
    host, _, port = pretend.docker_urls[name].removeprefix("tcp://").partition(":")
    return DockerAdapter(lambda: socket.create_connection((host, int(port)), timeout=10), name)


def test_an_engine_older_than_the_library_is_spoken_to(pretend: PretendCluster) -> None:
    pretend.hosts[0].engine.api = "1.21"
    engine = adapter(pretend, "deis-1")
    assert engine.versions() == ("1.12.6", "1.21")
    assert any("deis/logspout:v1.13.4" in image.tags for image in engine.images())
    assert engine.inspect("deis/logspout:v1.13.4") is not None
    assert engine.inspect("deis/none:v1") is None
    pretend.hosts[0].engine.api = "1.24"


def test_a_pull_reports_layers_and_ends_with_the_image_there(pretend: PretendCluster) -> None:
    engine = adapter(pretend, "deis-1")
    reports: list[LayerReport] = []
    engine.pull("deis/store-admin:v1.13.4", reports.append)
    assert engine.inspect("deis/store-admin:v1.13.4") is not None
    states = {report.state for report in reports}
    assert {"Pulling fs layer", "Pull complete", "Already exists"} <= states
    assert any(report.total for report in reports)


def test_an_error_inside_the_stream_is_an_error(pretend: PretendCluster) -> None:
    engine = adapter(pretend, "deis-1")
    with pytest.raises(PullError, match="no such image") as caught:
        engine.pull("deis/nope:v9", lambda report: None)
    assert "not found" in caught.value.said


def test_a_full_disk_is_told_in_the_daemons_words(pretend: PretendCluster) -> None:
    pretend.hosts[2].engine.free = 1000
    with pytest.raises(PullError, match="no room") as caught:
        adapter(pretend, "deis-3").pull("deis/database:v1.13.4", lambda report: None)
    assert "no space left on device" in caught.value.said


def test_a_pull_can_be_left(pretend: PretendCluster) -> None:
    cancel = threading.Event()
    with pytest.raises(CancelledError):
        adapter(pretend, "deis-2").pull("deis/builder:v1.13.4", lambda report: cancel.set(), cancel)


def test_an_engine_that_is_away_is_named() -> None:
    def refused() -> socket.socket:
        raise ConnectionRefusedError

    with pytest.raises(ServiceError, match="Docker engine on deis-9 did not answer"):
        DockerAdapter(refused, "deis-9").images()
