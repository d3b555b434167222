"""Which keys to log in with, loaded once for the whole cluster."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import paramiko
from pydantic import SecretStr

from deiswizard.cluster.known_hosts import UnknownKey
from deiswizard.cluster.transport import AUTH_TIMEOUT, LegacyRSAKey, Transport
from deiswizard.errors import LinkError, LoginError
from deiswizard.inventory import Target

MAX_TRIES = 5
"""sshd ends the connection after six."""

DEFAULT_IDENTITIES = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa", "~/.ssh/deis")


class Asker(Protocol):
    """The only way in which the engine asks the operator. Blocks; called from engine threads."""

    def accept_host_keys(self, keys: Sequence[UnknownKey]) -> bool:
        """Whether all these unknown host keys are accepted."""
        ...

    def passphrase(self, identity: Path) -> SecretStr | None:
        """The passphrase of a private key, None to leave the key out."""
        ...


class Credentials:
    """Keys for one cluster: each file is read once, the agent asked once, signing serialised."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._lock = threading.Lock()
        self._loaded: dict[Path, paramiko.PKey | str] = {}
        self._agent_keys: tuple[paramiko.PKey, ...] | None = None
        self._agent: paramiko.Agent | None = None
        self._worked: paramiko.PKey | None = None

    def close(self) -> None:
        """Let the agent go."""
        if self._agent is not None:
            self._agent.close()

    def _from_file(self, path: Path) -> paramiko.PKey | str:
        """The key, or why it cannot be used."""
        if path in self._loaded:
            return self._loaded[path]
        found: paramiko.PKey | str
        try:
            found = paramiko.PKey.from_path(path)
        except paramiko.PasswordRequiredException:
            found = self._with_passphrase(path)
        except TypeError:  # what cryptography raises for an encrypted key in PEM form
            found = self._with_passphrase(path)
        except (OSError, ValueError, paramiko.SSHException) as error:
            found = f"{path} cannot be read as a private key ({type(error).__name__})"
        self._loaded[path] = found
        return found

    def _with_passphrase(self, path: Path) -> paramiko.PKey | str:
        secret = self._asker.passphrase(path)
        if secret is None:
            return f"{path} is encrypted and no passphrase was given"
        try:
            return paramiko.PKey.from_path(path, secret.get_secret_value())
        except (ValueError, TypeError, paramiko.SSHException):
            return f"the passphrase of {path} is wrong"

    def _from_agent(self) -> tuple[paramiko.PKey, ...]:
        if self._agent_keys is None:
            try:
                self._agent = paramiko.Agent()
                self._agent_keys = tuple(self._agent.get_keys())
            except paramiko.SSHException:
                self._agent_keys = ()
        return self._agent_keys

    def _candidates(self, target: Target) -> Iterator[tuple[str, paramiko.PKey | str]]:
        """Keys in the order to try: the one that worked, explicit files (the agent's copy first, so
        that no passphrase is asked in vain), the agent, the usual files.
        """
        if self._worked is not None:
            yield "the key that worked before", self._worked
        agent = self._from_agent() if target.use_agent else ()
        by_blob = {key.asbytes(): key for key in agent}
        for path in target.identities:
            public = Path(f"{path}.pub")
            if public.exists() and (held := _agent_key_of(public, by_blob)):
                yield f"{path} (agent)", held
            else:
                yield str(path), self._from_file(path)
        for key in agent:
            yield f"agent key {key.fingerprint}", key
        if not target.identities:
            for name in DEFAULT_IDENTITIES:
                path = Path(name).expanduser()
                if path.exists():
                    yield str(path), self._from_file(path)

    def log_in(self, transport: Transport, target: Target, host: str) -> None:
        """Authenticate.

        Raises:
            LoginError: no key was accepted; says which were tried and why others were not.
            LinkError: the connection broke meanwhile.
        """
        tried: list[str] = []
        unusable: list[str] = []
        seen: set[bytes] = set()
        with self._lock:
            candidates = list(self._candidates(target))
        for label, key in candidates:
            if isinstance(key, str):
                unusable.append(key)
                continue
            if key.asbytes() in seen or len(tried) >= MAX_TRIES:
                continue
            seen.add(key.asbytes())
            tried.append(label)
            if _try_key(transport, target.user, key, host):
                self._worked = key
                return
            if not transport.is_active():
                break
        reasons = [f"tried {', '.join(tried)}"] if tried else ["there was no key to try"]
        raise LoginError(
            host,
            f"{host} accepted no key for user {target.user}",
            said="; ".join(reasons + unusable),
            do="add the cluster's key to ssh-agent (ssh-add FILE) or name it with --identity FILE",
        )


def _agent_key_of(public: Path, by_blob: dict[bytes, paramiko.PKey]) -> paramiko.PKey | None:
    import base64
    import binascii

    try:
        return by_blob.get(base64.b64decode(public.read_text().split()[1]))
    except (OSError, IndexError, binascii.Error):
        return None


def _try_key(transport: Transport, user: str, key: paramiko.PKey, host: str) -> bool:
    if transport.is_old_server and isinstance(key, paramiko.RSAKey):
        key = LegacyRSAKey(key=key.key)
    try:
        transport.auth_timeout = AUTH_TIMEOUT
        return not transport.auth_publickey(user, key)
    except paramiko.AuthenticationException:
        return False
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise LinkError(
            host, f"the connection to {host} broke while logging in", said=str(error)
        ) from error
