"""A drain that logger cannot dial is refused with the reason, and its text is never repeated."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deiswizard.recommendations.logs.drain import (
    drain_digest,
    parse_drain,
    parse_receiver,
    shown_drain,
    why_no_drain,
    why_no_receiver,
)

BAD = [
    ("", "the receiver is missing"),
    ("logs.example.com:514", "the scheme is missing"),
    ("//logs.example.com:514", "the scheme is missing"),
    ("UDP://logs.example.com:514", "in small letters only: udp"),
    ("Syslog://logs.example.com:514", "in small letters only: syslog"),
    ("http://logs.example.com:80", "logger has no http drain"),
    ("https://logs.example.com:443", "logger has no https drain"),
    ("tls://logs.example.com:6514", "logger speaks no TLS"),
    ("syslog+tls://logs.example.com:6514", "logger speaks no TLS"),
    ("tcp+tls://logs.example.com:6514", "logger speaks no TLS"),
    ("ssl://logs.example.com:6514", "logger speaks no TLS"),
    ("tcps://logs.example.com:6514", "logger speaks no TLS"),
    ("gelf://logs.example.com:12201", "logger does not know this scheme"),
    ("udp://logs.example.com", "the port is missing"),
    ("udp://logs.example.com:", "the port is missing"),
    ("udp://logs.example.com:514/", "becomes part of the host, and dialling it fails"),
    ("udp://logs.example.com:514/app", "becomes part of the host, and dialling it fails"),
    ("udp://token@logs.example.com:514", "is ignored by logger, so the receiver never gets it"),
    ("udp://logs.example.com:514?token=abc", "what follows '?' or '#' is ignored"),
    ("udp://logs.example.com:514#x", "what follows '?' or '#' is ignored"),
    ("udp://logs.example.com:0", "a number from 1 to 65535"),
    ("udp://logs.example.com:65536", "a number from 1 to 65535"),
    ("udp://logs.example.com:syslog", "a number from 1 to 65535"),
    ("udp://2001:db8::1:514", "an IPv6 address must stand in brackets"),
    ("udp://2001:db8::1", "an IPv6 address must stand in brackets"),
    ("udp://[2001:db8::1:514", "the bracket of the IPv6 address is not closed"),
    ("udp://[logs]:514", "no IPv6 address in the brackets"),
    ("udp://[2001:db8::1]", "the port is missing"),
    ("udp://:514", "neither a name nor an address"),
    ("udp://-logs:514", "neither a name nor an address"),
    ("udp://logs example:514", "holds a space"),
    ("udp://logs.example.com:514\n", "holds a space or a character"),
    ("udp://$(reboot):514", "neither a name nor an address"),
    ("udp://lögs.example.com:514", "a character that no address has"),
]


@pytest.mark.parametrize(("text", "said"), BAD)
def test_each_drain_that_cannot_work_is_refused_with_the_reason(text: str, said: str) -> None:
    assert said in why_no_drain(text)
    assert parse_drain(text) is None
    assert shown_drain(text) in ("off", "a value that logger cannot use (not shown)")
    for part in ("token", "example", "abc"):
        if part in text and part not in said:
            assert f"{part}=" not in why_no_drain(text) and f"{part}." not in why_no_drain(text)


@pytest.mark.parametrize(
    ("text", "protocol", "host", "shown"),
    [
        ("udp://logs.example.com:514", "udp", "logs.example.com", "udp to logs.example.com:514"),
        ("syslog://10.0.0.7:23654", "udp", "10.0.0.7", "syslog to 10.0.0.7:23654"),
        ("tcp://[2001:db8::1]:601", "tcp", "2001:db8::1", "tcp to [2001:db8::1]:601"),
        ("tcp://logs_1:1", "tcp", "logs_1", "tcp to logs_1:1"),
    ],
)
def test_each_drain_that_works_is_taken_as_it_is(
    text: str, protocol: str, host: str, shown: str
) -> None:
    drain = parse_drain(text)
    assert drain is not None and drain.url == text
    assert (drain.protocol, drain.to.host, drain.shown) == (protocol, host, shown)


@given(st.text())
def test_what_is_taken_matches_what_logger_takes_and_no_shell_minds(text: str) -> None:
    if why_no_drain(text) == "":
        assert re.fullmatch(r"(udp|syslog|tcp)://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):\d+", text)


@given(st.from_regex(r"[a-z\[\]:.@/?# 0-9]{0,40}", fullmatch=True))
def test_a_receiver_is_what_it_says_or_has_a_reason_against_it(text: str) -> None:
    found = parse_receiver(text)
    assert (found is None) == bool(why_no_receiver(text))


def test_another_drain_has_another_digest() -> None:
    assert drain_digest("udp://a:1") == drain_digest("udp://a:1") != drain_digest("udp://a:2")
