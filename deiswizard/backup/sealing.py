r"""Encryption of a backup's files: streamed, authenticated, in a format that is written down here.

A sealed file is ``deiswizard-sealed 1\n``, one line of JSON (the header), then chunks. Each chunk is
up to 64 KiB of the file, encrypted by AES-256-GCM: 16 bytes longer than what it holds. Its nonce is
a counter of 11 bytes (big endian, from 0) and one byte, 1 for the last chunk and else 0; the data
that is authenticated besides is the first two lines. So nothing can be cut off, moved or exchanged.
The key of the chunks is HKDF-SHA256(key of the backup, salt of the file, ``deiswizard file``). The
key of the backup is either scrypt(passphrase) with the salt and costs in the header, or random and,
encrypted for the recipient, in the header: X25519 with an ephemeral key, HKDF-SHA256 over the shared
secret (salt: both public keys; ``deiswizard key``), AES-256-GCM with a nonce of zeros.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import SecretStr

from deiswizard.backup.data import Seal
from deiswizard.errors import StepError

MAGIC = b"deiswizard-sealed 1\n"
CHUNK = 64 * 1024
TAG = 16
COSTS = {"n": 2**17, "r": 8, "p": 1}
"""128 MiB for about half a second, once a backup."""

MOST = {"n": 2**20, "r": 32, "p": 16}
"""What a header may ask for: a forged one shall not eat this machine's memory."""

LONGEST_HEADER = 4096
SHORTEST_PASSPHRASE = 12


def _hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)


def _scrypt(passphrase: SecretStr, salt: bytes, costs: dict[str, int]) -> bytes:
    return Scrypt(salt, 32, costs["n"], costs["r"], costs["p"]).derive(
        passphrase.get_secret_value().encode()
    )


def _raw(key: X25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def recipient_of(pem: str) -> X25519PublicKey:
    """The public key in ``pem``. Raises ValueError with a sentence."""
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, TypeError) as error:
        raise ValueError("it holds no public key in PEM") from error
    if not isinstance(key, X25519PublicKey):
        raise ValueError("its key is of another kind than X25519")
    return key


def private_key_of(pem: bytes) -> X25519PrivateKey:
    """The private key that opens what was sealed for a recipient. Raises ValueError."""
    try:
        key = serialization.load_pem_private_key(pem, None)
    except TypeError as error:
        raise ValueError("the private key is protected by a passphrase") from error
    except ValueError as error:
        raise ValueError("it holds no private key in PEM") from error
    if not isinstance(key, X25519PrivateKey):
        raise ValueError("its key is of another kind than X25519")
    return key


class Encryptor:
    """Seals one file: ``begin`` once, ``feed`` as it comes, ``end`` once. Holds a chunk at most."""

    def __init__(self, key: bytes, about: dict[str, Any]) -> None:
        salt = os.urandom(32)
        about = {**about, "salt": base64.b64encode(salt).decode()}
        self._head = MAGIC + json.dumps(about, separators=(",", ":")).encode() + b"\n"
        self._aead = AESGCM(_hkdf(key, salt, b"deiswizard file"))
        self._held = bytearray()
        self._count = 0

    def begin(self) -> bytes:
        """The header."""
        return self._head

    def _sealed(self, piece: bytes, last: bool) -> bytes:
        nonce = self._count.to_bytes(11, "big") + bytes([last])
        self._count += 1
        return self._aead.encrypt(nonce, piece, self._head)

    def feed(self, data: bytes) -> bytes:
        """What can be written by now. The last chunk is kept back, because it is marked."""
        self._held += data
        out = bytearray()
        while len(self._held) > CHUNK:
            out += self._sealed(bytes(self._held[:CHUNK]), False)
            del self._held[:CHUNK]
        return bytes(out)

    def end(self) -> bytes:
        """The last chunk."""
        return self._sealed(bytes(self._held), True)


class UnopenableError(StepError):
    """It is sealed, and the key for it is not known here."""


class Sealer:
    """Makes encryptors for the files of one backup; derives the backup's key once."""

    def __init__(self, seal: Seal, passphrase: SecretStr | None = None) -> None:
        if seal.how == "passphrase":
            if passphrase is None or not passphrase.get_secret_value():
                raise StepError("the passphrase was not given", do="enter it again")
            salt = os.urandom(32)
            self._key = _scrypt(passphrase, salt, COSTS)
            self._about: dict[str, Any] = {
                "scrypt": {"salt": base64.b64encode(salt).decode(), **COSTS}
            }
        else:
            recipient, ephemeral = recipient_of(seal.recipient), X25519PrivateKey.generate()
            self._key = os.urandom(32)
            public = _raw(ephemeral.public_key())
            wrap = _hkdf(ephemeral.exchange(recipient), public + _raw(recipient), b"deiswizard key")
            wrapped = AESGCM(wrap).encrypt(bytes(12), self._key, None)
            self._about = {
                "x25519": {
                    "ephemeral": base64.b64encode(public).decode(),
                    "key": base64.b64encode(wrapped).decode(),
                }
            }

    def encryptor(self) -> Encryptor:
        """For one file."""
        return Encryptor(self._key, self._about)

    def tell(self, opener: Opener) -> None:
        """Let an opener know the key of what this sealer has sealed."""
        opener.know(self._about, self._key)


class Opener:
    """Opens sealed files. Derives the key of each backup once."""

    def __init__(
        self, passphrase: SecretStr | None = None, private: X25519PrivateKey | None = None
    ) -> None:
        self._passphrase = passphrase
        self._private = private
        self._known: dict[str, bytes] = {}

    def know(self, about: dict[str, Any], key: bytes) -> None:
        """Keep the key of a backup that was made just now."""
        self._known[json.dumps(about, sort_keys=True)] = key

    def _key(self, about: dict[str, Any]) -> bytes:
        name = json.dumps(about, sort_keys=True)
        if name not in self._known:
            self._known[name] = self._derived(about)
        return self._known[name]

    def _derived(self, about: dict[str, Any]) -> bytes:
        if "scrypt" in about:
            if self._passphrase is None:
                raise UnopenableError("it is encrypted by a passphrase", do="give the passphrase")
            costs = {name: int(about["scrypt"][name]) for name in COSTS}
            if any(costs[name] > MOST[name] for name in costs):
                raise StepError("its header asks for more memory than any backup of ours")
            return _scrypt(self._passphrase, base64.b64decode(about["scrypt"]["salt"]), costs)
        if self._private is None:
            raise UnopenableError("it is encrypted for a recipient", do="give the private key")
        public = base64.b64decode(about["x25519"]["ephemeral"])
        shared = self._private.exchange(X25519PublicKey.from_public_bytes(public))
        wrap = _hkdf(shared, public + _raw(self._private.public_key()), b"deiswizard key")
        try:
            return AESGCM(wrap).decrypt(bytes(12), base64.b64decode(about["x25519"]["key"]), None)
        except InvalidTag as error:
            raise StepError("it was encrypted for another key", do="give the right one") from error

    def opened(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """What was sealed, chunk by chunk.

        Raises:
            StepError: wrong passphrase or key, or the file was changed or cut off.
        """
        held, source = bytearray(), iter(pieces)

        def fill(enough: Callable[[], bool]) -> bool:
            while not enough():
                piece = next(source, None)
                if piece is None:
                    return False
                held.extend(piece)
            return True

        def has_header() -> bool:
            return held.count(b"\n", 0, LONGEST_HEADER) >= 2 or len(held) > LONGEST_HEADER

        fill(has_header)
        end = held.find(b"\n", len(MAGIC))
        if not held.startswith(MAGIC) or not 0 < end < LONGEST_HEADER:
            raise StepError("it is no sealed file of deiswizard")
        head = bytes(held[: end + 1])
        try:
            about = json.loads(head[len(MAGIC) :])
            salt = base64.b64decode(about.pop("salt"))
            key = self._key(about)
        except (ValueError, KeyError, TypeError) as error:
            raise StepError("its header cannot be read: it was changed or cut off") from error
        del held[: end + 1]
        aead, count = AESGCM(_hkdf(key, salt, b"deiswizard file")), 0
        whole = CHUNK + TAG
        while True:
            more = fill(lambda: len(held) > whole)
            chunk = bytes(held[:whole])
            nonce = count.to_bytes(11, "big") + bytes([not more])
            try:
                plain = aead.decrypt(nonce, chunk, head)
            except InvalidTag as error:
                why = "wrong passphrase or key, or" if not count else ""
                raise StepError(f"it cannot be opened: {why} it was changed or cut off".replace("  ", " ")) from error  # fmt: skip
            del held[:whole]
            count += 1
            yield plain
            if not more:
                return
