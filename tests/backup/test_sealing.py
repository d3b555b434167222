"""Sealed files: only what was sealed, whole and unchanged, comes out again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import SecretStr

from deiswizard.backup import sealing
from deiswizard.backup.data import Seal
from deiswizard.backup.sealing import CHUNK, MAGIC, TAG, Opener, Sealer, UnopenableError
from deiswizard.errors import StepError

WORDS = SecretStr("correct horse battery staple")


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same function at a lower cost; one test has the real one."""
    monkeypatch.setattr(sealing, "COSTS", {"n": 2**10, "r": 8, "p": 1})


def sealed(sealer: Sealer, data: bytes, piece: int = 10_000) -> bytes:
    encryptor = sealer.encryptor()
    out = encryptor.begin()
    for at in range(0, len(data), piece):
        out += encryptor.feed(data[at : at + piece])
    return out + encryptor.end()


def pieces(data: bytes, size: int = 7_001) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def opened(opener: Opener, data: bytes) -> bytes:
    return b"".join(opener.opened(pieces(data)))


def by_passphrase() -> Sealer:
    return Sealer(Seal(how="passphrase"), WORDS)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 200_000])
def test_what_was_sealed_comes_out_again(size: int) -> None:
    data = os.urandom(size)
    assert opened(Opener(WORDS), sealed(by_passphrase(), data)) == data


def test_the_cost_that_is_used_takes_long_to_guess_and_is_written_in_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sealing, "COSTS", {"n": 2**17, "r": 8, "p": 1})
    data = sealed(by_passphrase(), b"abc")
    head = json.loads(data.split(b"\n")[1])
    assert head["scrypt"]["n"] == 2**17
    assert opened(Opener(WORDS), data) == b"abc"


def test_a_recipient_opens_it_with_the_private_key_and_nobody_else_does() -> None:
    ours, other = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    pem = ours.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    data = sealed(Sealer(Seal(how="recipient", recipient=pem.decode())), b"abc" * 50_000)
    assert opened(Opener(private=ours), data) == b"abc" * 50_000
    with pytest.raises(StepError, match="encrypted for another key"):
        opened(Opener(private=other), data)
    with pytest.raises(UnopenableError, match="for a recipient"):
        opened(Opener(WORDS), data)


def test_a_wrong_passphrase_opens_nothing() -> None:
    with pytest.raises(StepError, match="wrong passphrase or key, or it was changed"):
        opened(Opener(SecretStr("something else")), sealed(by_passphrase(), b"abc"))
    with pytest.raises(UnopenableError, match="by a passphrase"):
        opened(Opener(), sealed(by_passphrase(), b"abc"))


DATA = b"0123456789" * 20_000


def cut_in_a_chunk(data: bytes) -> bytes:
    return data[:-1]


def cut_between_chunks(data: bytes) -> bytes:
    end = data.index(b"\n", len(MAGIC)) + 1
    return data[: end + 2 * (CHUNK + TAG)]


def flipped(data: bytes) -> bytes:
    return data[:100_000] + bytes([data[100_000] ^ 1]) + data[100_001:]


def exchanged(data: bytes) -> bytes:
    end, size = data.index(b"\n", len(MAGIC)) + 1, CHUNK + TAG
    first, second = data[end : end + size], data[end + size : end + 2 * size]
    return data[:end] + second + first + data[end + 2 * size :]


def longer(data: bytes) -> bytes:
    return data + b"x"


def other_header(data: bytes) -> bytes:
    return data.replace(b'"p":1', b'"p":2', 1)


@pytest.mark.parametrize(
    "damage", [cut_in_a_chunk, cut_between_chunks, flipped, exchanged, longer, other_header]
)
def test_a_file_that_was_changed_is_never_opened_whole(damage: object) -> None:
    data = sealed(by_passphrase(), DATA)
    assert callable(damage)
    damaged = damage(data)
    assert damaged != data
    with pytest.raises(StepError, match="changed or cut off"):
        opened(Opener(WORDS), damaged)


def test_something_else_is_no_sealed_file() -> None:
    for text in (b"", b"--\n-- PostgreSQL database cluster dump\n--\n", os.urandom(9_000)):
        with pytest.raises(StepError, match="no sealed file"):
            opened(Opener(WORDS), text)


def test_a_forged_header_cannot_ask_for_all_memory() -> None:
    head = {"scrypt": {"salt": "AAAA", "n": 2**30, "r": 8, "p": 1}, "salt": "AAAA"}
    with pytest.raises(StepError, match="more memory"):
        opened(Opener(WORDS), MAGIC + json.dumps(head).encode() + b"\n" + b"x" * 40)


def test_what_is_no_key_for_a_recipient_is_said_so() -> None:
    key = rsa.generate_private_key(65537, 2048).public_key()
    pem = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()
    with pytest.raises(ValueError, match="another kind than X25519"):
        sealing.recipient_of(pem)
    with pytest.raises(ValueError, match="no public key"):
        sealing.recipient_of("ssh-ed25519 AAAA")
