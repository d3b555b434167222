"""Which keys to log in with, loaded once for the whole cluster."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm

from deiswizard.cluster.asking import Asker
from deiswizard.cluster.dial import transient
from deiswizard.cluster.known_hosts import fingerprint
from deiswizard.cluster.transport import AUTH_TIMEOUT, POLL, LegacyRSAKey, Transport
from deiswizard.errors import CancelledError, LoginError
from deiswizard.inventory import Target

MAX_TRIES = 3
"""Keys to try where it is known which ones are meant."""

MAX_BLIND_TRIES = 5
"""Keys to try where only the agent's keys and the usual files are left. sshd allows six."""

MAX_PASSPHRASES = 3

DEFAULT_IDENTITIES = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa", "~/.ssh/deis")


class _AgentKey(paramiko.PKey):
    """A key in the agent, asked by one thread at a time: all share one connection to it."""

    public_blob = None

    def __init__(self, inner: paramiko.AgentKey, lock: threading.Lock) -> None:
        self._inner = inner
        self._lock = lock
        self.label = f"agent key {inner.comment or fingerprint(inner.asbytes())}"

    def get_name(self) -> str:
        return self._inner.get_name()

    def asbytes(self) -> bytes:
        return self._inner.asbytes()

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> paramiko.Message:
        with self._lock:
            return self._inner.sign_ssh_data(data, algorithm)

    def why_not(self) -> str:
        """Why the agent will not sign with it; empty when it will.

        Asked beforehand, because a refusal in the middle of a login ends the connection. Keys in
        hardware are not asked: each signature is a touch.
        """
        if self.get_name().startswith("sk-"):
            return ""
        try:
            self.sign_ssh_data(b"deiswizard", "rsa-sha2-512" if "rsa" in self.get_name() else None)
        except (paramiko.SSHException, OSError, EOFError) as error:
            return f"the {self.label} does not sign ({error})"
        return ""


class Credentials:
    """Keys for one cluster: each file is read once, the agent asked once, signing serialised."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._lock = threading.Lock()
        self._signing = threading.Lock()
        self._loaded: dict[Path, paramiko.PKey | str] = {}
        self._refusals: dict[bytes, str] = {}
        self._agent_keys: tuple[_AgentKey, ...] | None = None
        self._agent: paramiko.Agent | None = None
        self._worked: tuple[str, paramiko.PKey] | None = None

    def close(self) -> None:
        """Let the agent go."""
        if self._agent is not None:
            self._agent.close()

    def _from_file(self, path: Path) -> paramiko.PKey | str:
        """The key, or why it cannot be used."""
        if path not in self._loaded:
            try:
                self._loaded[path] = paramiko.PKey.from_path(path)
            except (paramiko.PasswordRequiredException, TypeError):
                # TypeError is what cryptography raises for a key that needs a passphrase
                self._loaded[path] = self._with_passphrase(path)
            except FileNotFoundError:
                self._loaded[path] = f"{path} does not exist"
            except PermissionError:
                self._loaded[path] = f"{path} may not be read"
            except (OSError, ValueError, UnsupportedAlgorithm, paramiko.SSHException) as error:
                self._loaded[path] = f"{path} is no private key ({type(error).__name__})"
        return self._loaded[path]

    def _with_passphrase(self, path: Path) -> paramiko.PKey | str:
        for _ in range(MAX_PASSPHRASES):
            secret = self._asker.passphrase(path)
            if secret is None:
                return f"{path} is encrypted and no passphrase was given"
            word: Any = secret.get_secret_value().encode()
            try:
                return paramiko.PKey.from_path(path, word)
            except (ValueError, TypeError, paramiko.SSHException):
                continue
        return f"the passphrase of {path} was wrong {MAX_PASSPHRASES} times"

    def _from_agent(self) -> tuple[_AgentKey, ...]:
        if self._agent_keys is None:
            try:
                self._agent = paramiko.Agent()
                keys = self._agent.get_keys()
            except (paramiko.SSHException, OSError, ValueError):
                keys = ()
            self._agent_keys = tuple(_AgentKey(key, self._signing) for key in keys)
        return self._agent_keys

    def _candidates(self, target: Target) -> Iterator[tuple[str, paramiko.PKey | str]]:
        """Keys in the order to try: the one that worked, explicit files (the agent's copy first, so
        that no passphrase is asked in vain), the agent, the usual files. Nothing is read before
        its turn.
        """
        if self._worked is not None:
            yield self._worked
        agent = self._from_agent() if target.use_agent else ()
        by_blob = {key.asbytes(): key for key in agent}
        for path in target.identities:
            held = _agent_key_of(Path(f"{path}.pub"), by_blob) or _agent_key_of(path, by_blob)
            if held is not None and not self._why_not(held):
                yield f"{path} (agent)", held
            else:
                yield str(path), self._from_file(path)
        if not target.identities_only:
            for key in agent:
                yield key.label, self._why_not(key) or key
        if not target.identities:
            for name in DEFAULT_IDENTITIES:
                path = Path(name).expanduser()
                if path.exists() and _agent_key_of(Path(f"{path}.pub"), by_blob) is None:
                    yield str(path), self._from_file(path)

    def _why_not(self, key: _AgentKey) -> str:
        blob = key.asbytes()
        if blob not in self._refusals:
            self._refusals[blob] = key.why_not()
        return self._refusals[blob]

    def _next(
        self, candidates: Iterator[tuple[str, paramiko.PKey | str]], cancel: threading.Event | None
    ) -> tuple[str, paramiko.PKey | str] | None:
        """The next key; one thread at a time, so that each passphrase is asked once."""
        while not self._lock.acquire(timeout=POLL):
            if cancel is not None and cancel.is_set():
                raise CancelledError("logging in was stopped")
        try:
            return next(candidates, None)
        finally:
            self._lock.release()

    def log_in(
        self,
        transport: Transport,
        target: Target,
        host: str,
        cancel: threading.Event | None = None,
    ) -> None:
        """Authenticate.

        Raises:
            LoginError: no key was accepted; says which were tried and why others were not.
            LinkError: the connection broke meanwhile.
            CancelledError: ``cancel`` was set.
        """
        tried: list[str] = []
        unusable: list[str] = []
        seen: set[bytes] = set()
        candidates = self._candidates(target)
        limit = MAX_TRIES if target.identities or self._worked else MAX_BLIND_TRIES
        while (found := self._next(candidates, cancel)) is not None:
            label, key = found
            if isinstance(key, str):
                unusable.append(key)
                continue
            if key.asbytes() in seen:
                continue
            if len(tried) >= limit:
                unusable.append(f"{label} and later ones were not tried, sshd counts tries")
                break
            seen.add(key.asbytes())
            tried.append(label)
            if _try_key(transport, target.user, key, host, cancel):
                self._worked = (label, key)
                return
            if not transport.is_active():
                unusable.append("then the host ended the connection")
                break
        reasons = [f"tried {', '.join(tried)}"] if tried else ["there was no key to try"]
        raise LoginError(
            host,
            f"{host} accepted no key for user {target.user}",
            said="; ".join(reasons + unusable),
            state="nothing was run on it",
            do="add the cluster's key to ssh-agent (ssh-add FILE) or name it with --identity FILE",
        )


def _agent_key_of(public: Path, by_blob: dict[bytes, _AgentKey]) -> _AgentKey | None:
    """The agent's copy of the key whose public half is in a file."""
    if not by_blob:
        return None
    try:
        return by_blob.get(base64.b64decode(public.read_text().split()[1]))
    except (OSError, IndexError, ValueError):
        return None


def _try_key(
    transport: Transport,
    user: str,
    key: paramiko.PKey,
    host: str,
    cancel: threading.Event | None,
) -> bool:
    """Whether the host accepts a key; False also when it then ends the connection."""
    if transport.is_old_server and isinstance(key, paramiko.RSAKey):
        key = LegacyRSAKey(key=key.key)
    answered = threading.Event()
    deadline = time.monotonic() + AUTH_TIMEOUT
    try:
        transport.auth_publickey(user, key, answered)
        while not answered.wait(POLL):
            if cancel is not None and cancel.is_set():
                raise CancelledError(f"logging in to {host} was stopped")
            if not transport.is_active():
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer to the login within {AUTH_TIMEOUT:.0f} s")
        if transport.is_authenticated():
            return True
        error = transport.get_exception()
        if error is None or isinstance(error, paramiko.AuthenticationException):
            return False
        if "no authentication methods" in str(error).lower() or "too many" in str(error).lower():
            return False
        raise error
    except paramiko.AuthenticationException:
        return False
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise transient(
            host,
            f"the connection to {host} broke while logging in",
            said=str(error),
            do="try again; sshd's log on the host may say more",
        ) from error
