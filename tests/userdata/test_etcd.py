"""Real etcds, each started with what coreos-cloudinit makes of a role's file; one is the discovery service."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from deiswizard.discovery_service import ask_service
from deiswizard.errors import ServiceError
from deiswizard.userdata.checks import check
from deiswizard.userdata.discovery import Discovered
from deiswizard.userdata.members import Member
from deiswizard.userdata.roles import member_user_data, proxy_user_data
from tests.userdata.layouts import BY_HAND, FILLED

ETCD = shutil.which("etcd")
LIMIT = 60.0
http = urllib3.PoolManager(retries=False, timeout=10.0)


def address(number: int) -> str:
    """An address of this machine that belongs to this test process, for etcd's usual ports."""
    pid = os.getpid()
    return f"127.{100 + number}.{pid >> 8 & 255}.{pid & 255 or 1}"


def environment(text: str, number: int, folder: Path) -> dict[str, str]:
    """What the unit gets: one variable for each value that is not empty, the host's address put in."""
    here = text.replace("$private_ipv4", address(number)).replace("0.0.0.0", address(number))
    section = yaml.safe_load(here)["coreos"]["etcd2"]
    section["data-dir"] = str(folder / f"data-{number}")
    said = {
        f"ETCD_{key.upper().replace('-', '_')}": str(value)
        for key, value in section.items()
        if value
    }
    return {**said, "ETCD_NAME": f"machine-{number}", "ETCD_ENABLE_V2": "true"}


@contextlib.contextmanager
def started(variables: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    assert ETCD is not None
    with log.open("wb") as out:
        process = subprocess.Popen([ETCD], env=variables, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(holds: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + LIMIT
    while True:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            if holds():
                return
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
        time.sleep(0.05)


def keys(number: int, port: int, key: str, value: str | None = None) -> dict[str, Any]:
    url = f"http://{address(number)}:{port}/v2/keys{key}"
    answer = (
        http.request("PUT", url, fields={"value": value}, encode_multipart=False)
        if value
        else http.request("GET", url)
    )
    said: dict[str, Any] = json.loads(answer.data)
    return said


@pytest.fixture
def service(tmp_path: Path) -> Iterator[int]:
    """The number of an etcd that serves as discovery service."""
    if ETCD is None:
        pytest.skip("etcd-server is not installed")
    peer = f"http://{address(1)}:2380"
    text = f"coreos: {{etcd2: {{listen-client-urls: 'http://{address(1)}:2379', advertise-client-urls: 'http://{address(1)}:2379', listen-peer-urls: '{peer}', initial-advertise-peer-urls: '{peer}', initial-cluster: 'machine-1={peer}'}}}}"  # fmt: skip
    log = tmp_path / "log-1"
    with started(environment(text, 1, tmp_path), log):
        until(lambda: "node" in keys(1, 2379, "/ready", "yes"), log)
        yield 1


def test_the_files_of_both_roles_do_on_real_etcds_what_they_say(
    service: int, tmp_path: Path
) -> None:
    url = f"http://{address(service)}:2379/v2/keys/discovery/0123456789abcdef"
    assert ask_service(url) == Discovered(is_known=False)
    keys(service, 2379, "/discovery/0123456789abcdef/_config/size", "1")
    assert ask_service(url) == Discovered(size=1, registered=0)
    assert (
        "become proxies"
        in check(member_user_data(BY_HAND, discovery=url), members=3, discovered=ask_service(url))[
            0
        ].what
    )

    with contextlib.ExitStack() as hosts:
        member = environment(member_user_data(BY_HAND, discovery=url), 2, tmp_path)
        hosts.enter_context(started(member, log := tmp_path / "log-2"))
        until(lambda: "node" in keys(2, 4001, "/from", "member"), log)
        assert ask_service(url) == Discovered(size=1, registered=1)

        by_url = environment(proxy_user_data(BY_HAND, discovery=url), 3, tmp_path)
        listed = [Member("any-name", f"http://{address(2)}:2380")]
        by_list = environment(proxy_user_data(BY_HAND, listed), 4, tmp_path)
        assert "ETCD_DISCOVERY" not in by_list and by_list["ETCD_PROXY"] == "on"
        for number, variables in ((3, by_url), (4, by_list)):
            hosts.enter_context(started(variables, log := tmp_path / f"log-{number}"))
            for port in (2379, 4001):
                key = f"/through/{number}/{port}"
                until(lambda port=port, key=key, n=number: "node" in keys(n, port, key, "yes"), log)  # type: ignore[misc]
                assert keys(2, 2379, key)["node"]["value"] == "yes"
            assert (tmp_path / f"data-{number}" / "proxy").is_dir()
            assert not (tmp_path / f"data-{number}" / "member").exists()
        members = json.loads(http.request("GET", f"http://{address(4)}:4001/v2/members").data)[
            "members"
        ]
        assert [one["name"] for one in members] == ["machine-2"]

    with pytest.raises(ServiceError) as silent:
        ask_service(url.replace(address(service), address(9)))
    assert "0123456789abcdef" not in f"{silent.value} {silent.value.do}"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("data-dir:", "proxy: on\n    data-dir:", "ETCD_PROXY"),
        ("data-dir:", "initial-cluster: a=http://127.0.0.1:2380\n    data-dir:", "Choose one of"),
    ],
)
def test_what_the_checks_call_fatal_is_fatal(
    before: str, after: str, said: str, tmp_path: Path
) -> None:
    if ETCD is None:
        pytest.skip("etcd-server is not installed")
    text = FILLED.replace(before, after)
    assert [problem for problem in check(text) if problem.blocks]
    variables = environment(text, 5, tmp_path)
    variables["ETCD_PROXY"] = variables.get("ETCD_PROXY", "off").lower()  # as Go writes true
    log = tmp_path / "log-5"
    with started(variables, log) as process:
        assert process.wait(timeout=LIMIT) != 0
    assert said in log.read_text(errors="replace")
