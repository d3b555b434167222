"""Which cluster is meant, and how to log in to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deiswizard.errors import PreconditionError
from deiswizard.inventory import Target, for_host, parse_address, resolve


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config"
    path.write_text(
        "Host prod\n  HostName 10.21.2.11\n  User ops\n  Port 2222\n  IdentityFile /k/prod\n"
        "  ProxyJump outer,me@inner:2200\n"
        "Host outer\n  ProxyJump first\n  User gatekeeper\n"
        "Host inner\n  ProxyJump nowhere\n"
        "Host 10.21.2.12\n  Port 2022\n"
        "Host ring\n  ProxyJump ring\n"
        "Host corkscrew\n  ProxyCommand corkscrew p 80 %h %p\n"
    )
    return path


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("host", (None, "host", None)),
        ("host:2222", (None, "host", 2222)),
        ("core@host", ("core", "host", None)),
        ("core@10.0.0.1:22", ("core", "10.0.0.1", 22)),
        ("[::1]:2222", (None, "::1", 2222)),
        ("core@[fe80::1%eth0]", ("core", "fe80::1%eth0", None)),
        ("fe80::1", (None, "fe80::1", None)),
        ("::1", (None, "::1", None)),
    ],
)
def test_addresses_are_read(text: str, parts: tuple[str | None, str, int | None]) -> None:
    assert parse_address(text) == parts


@pytest.mark.parametrize("text", ["", "a b", "host:port", "host:0", "host:65536", "a:b:c", "@h"])
def test_what_is_no_address_is_an_error_with_words(text: str) -> None:
    with pytest.raises(PreconditionError) as caught:
        parse_address(text)
    assert caught.value.do


@given(st.text())
def test_any_text_is_an_address_or_an_error(text: str) -> None:
    try:
        _, host, port = parse_address(text)
    except PreconditionError:
        return
    assert host and not host.isspace()
    assert port is None or 1 <= port <= 65535


def test_the_address_comes_before_the_flag_and_the_flag_before_the_variable(
    config: Path,
) -> None:
    environ = {"DEISCTL_TUNNEL": "three:2222"}
    assert resolve("one", tunnel="two", ssh_config=config, environ=environ).host == "one"
    assert resolve(None, tunnel="two", ssh_config=config, environ=environ).host == "two"
    last = resolve(None, ssh_config=config, environ=environ)
    assert (last.host, last.port, last.user) == ("three", 2222, "core")
    with pytest.raises(PreconditionError, match="no cluster was named") as caught:
        resolve(None, ssh_config=config, environ={})
    assert "DEISCTL_TUNNEL" in caught.value.do


def test_ssh_config_is_honoured_and_flags_are_stronger(config: Path, tmp_path: Path) -> None:
    target = resolve("prod", ssh_config=config, environ={})
    assert (target.host, target.port, target.user) == ("10.21.2.11", 2222, "ops")
    assert target.identities == (Path("/k/prod"),)
    assert target.alias == "prod"
    key = tmp_path / "key"
    key.touch()
    other = resolve("me@prod:22", identities=[key], ssh_config=config, environ={})
    assert (other.user, other.port) == ("me", 22)
    assert other.identities == (key, Path("/k/prod"))
    assert resolve("a@prod", user="b", ssh_config=config, environ={}).user == "b"


def test_jumps_are_followed_outermost_first_each_with_its_own_settings(config: Path) -> None:
    jumps = resolve("prod", ssh_config=config, environ={}).jumps
    assert [jump.text for jump in jumps] == ["core@first", "gatekeeper@outer", "me@inner:2200"]
    assert all(jump.jumps == () for jump in jumps)


def test_a_ring_of_jumps_and_a_strange_proxy_command_are_errors(config: Path) -> None:
    with pytest.raises(PreconditionError, match="nested"):
        resolve("ring", ssh_config=config, environ={})
    with pytest.raises(PreconditionError, match="ProxyCommand"):
        resolve("corkscrew", ssh_config=config, environ={})


def test_a_missing_key_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="does not exist"):
        resolve("h", identities=[tmp_path / "none"], environ={})


def test_another_host_of_the_cluster_has_the_same_user_and_keys(config: Path) -> None:
    entry = resolve("prod", ssh_config=config, environ={})
    other = for_host(entry, "10.21.2.12", None)
    assert (other.host, other.port, other.user) == ("10.21.2.12", 2022, "ops")
    assert other.identities == (Path("/k/prod"),)
    assert other.jumps == ()
    by_hand = Target("a", user="root", known_hosts=(Path("/kh"),), ssh_config=config)
    assert for_host(by_hand, "10.0.0.1", 2200).text == "root@10.0.0.1:2200"
    assert for_host(by_hand, "10.0.0.1", 2200).known_hosts == (Path("/kh"),)
