"""Connect and exchange keys, and judge the key that the host shows. No login yet."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

from paramiko.ssh_exception import IncompatiblePeer

from deiswizard.cluster.dial import dial, transient
from deiswizard.cluster.known_hosts import (
    KnownHosts,
    UnknownKey,
    Verdict,
    fingerprint,
    name_in_file,
)
from deiswizard.cluster.transport import HANDSHAKE_TIMEOUT, POLL, Transport
from deiswizard.errors import CancelledError, HostKeyError, LinkError
from deiswizard.inventory import Target

RETRIES = 5
RETRY_SECONDS = 0.5
LONGEST_PAUSE = 4.0
PATIENCE = 9.0
"""Seconds after which no further try is begun: a host that is silent is not asked five times."""

OpenTcp = Callable[[str, int, threading.Event | None], Any]


class UnknownHostKeyError(HostKeyError):
    """The host showed a key that no known_hosts file knows."""

    def __init__(self, key: UnknownKey) -> None:
        super().__init__(
            key.host,
            f"the key of {key.host} is not known ({key.fingerprint})",
            said=key.note,
            state="nothing was sent to it",
            do="compare the fingerprint with the host's console and accept it",
        )
        self.key = key


def shake_hands(
    target: Target,
    keys: KnownHosts | None,
    *,
    open_tcp: OpenTcp | None = None,
    cancel: threading.Event | None = None,
) -> Transport:
    """Connect and exchange keys; tried again with growing pauses when the network is at fault.

    Args:
        open_tcp: how to get to the target through another host; None: dial it.

    Raises:
        LinkError: the reason in plain words. CancelledError: ``cancel`` was set.
    """
    began = time.monotonic()
    attempt = 0
    while True:
        attempt += 1
        try:
            return _once(target, keys, open_tcp, cancel)
        except LinkError as error:
            waited = time.monotonic() - began
            if attempt == RETRIES or not error.is_transient or waited > PATIENCE:
                raise
        pause = min(RETRY_SECONDS * 2 ** (attempt - 1), LONGEST_PAUSE) * random.uniform(0.5, 1.5)
        if cancel is None:
            time.sleep(pause)
        elif cancel.wait(pause):
            raise CancelledError(f"connecting to {target.host} was stopped")


def _once(
    target: Target,
    keys: KnownHosts | None,
    open_tcp: OpenTcp | None,
    cancel: threading.Event | None,
) -> Transport:
    if open_tcp is None:
        sock: Any = dial(target.host, target.port, cancel)
    else:
        sock = open_tcp(target.host, target.port, cancel)
    transport = Transport(sock)
    if keys is not None:
        transport.prefer_host_keys(keys.key_types_for(target.host, target.port))
    try:
        finished = threading.Event()
        transport.start_client(finished)
        deadline = time.monotonic() + HANDSHAKE_TIMEOUT
        while not finished.wait(POLL) and time.monotonic() < deadline:
            if cancel is not None and cancel.is_set():
                raise CancelledError(f"connecting to {target.host} was stopped")
        if finished.is_set() and transport.is_active():
            return transport
        error = transport.get_exception() or EOFError("the connection was closed")
        if not finished.is_set():
            error = TimeoutError(f"no key exchange within {HANDSHAKE_TIMEOUT:.0f} s")
        raise _told(target, error) from error
    except BaseException:
        transport.close()
        raise


def _told(target: Target, error: Exception) -> LinkError:
    """What went wrong in a key exchange, and whether another try may help."""
    if isinstance(error, IncompatiblePeer):
        return LinkError(
            target.host,
            f"{target.host} and this program have no way of encrypting in common",
            said=str(error),
            do="its sshd is too old or too strict; see KexAlgorithms, Ciphers and "
            "HostKeyAlgorithms in its sshd_config",
        )
    words = str(error)
    if isinstance(error, EOFError | OSError) or "banner" in words.lower():
        return transient(
            target.host,
            f"{target.host} did not speak SSH on port {target.port}",
            said=words or "it closed the connection",
            do="check that sshd runs there and has room for more logins (MaxStartups)",
        )
    return LinkError(
        target.host,
        f"the key exchange with {target.host} failed",
        said=words,
        do=f"try: ssh -v -p {target.port} {target.user}@{target.host}",
    )


def shown_key(transport: Transport, target: Target) -> UnknownKey:
    """The key that the host has proved to own."""
    key = transport.get_remote_server_key()
    return UnknownKey(
        host=target.host,
        name_in_file=name_in_file(target.host, target.port),
        key_type=key.get_name(),
        fingerprint=fingerprint(key.asbytes()),
        key_b64=key.get_base64(),
    )


def check_key(keys: KnownHosts, key: UnknownKey, port: int) -> None:
    """Judge a host's key as OpenSSH does.

    Raises:
        UnknownHostKeyError: nobody has accepted it yet.
        HostKeyError: it has changed or is revoked. There is no way around this one.
    """
    match keys.check(key.host, port, key.key_type, key.key_b64):
        case Verdict.KNOWN:
            return
        case Verdict.UNKNOWN:
            raise UnknownHostKeyError(keys.with_note(key, port))
        case Verdict.REVOKED:
            raise HostKeyError(
                key.host,
                f"the key of {key.host} is revoked in known_hosts ({key.fingerprint})",
                state="nothing was sent to this host",
                do="find out who answers at this address",
            )
        case Verdict.CHANGED:
            raise HostKeyError(
                key.host,
                f"the key of {key.host} has CHANGED: it now shows {key.fingerprint}",
                state="nothing was sent to this host; somebody may be answering in its place",
                do="find out why. Only if the host was made anew: ssh-keygen -R "
                f"'{key.name_in_file}', then connect again",
            )
