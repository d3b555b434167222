"""The choices of logging and monitoring."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from deiswizard.recommendations.base import Choices

STORAGE_KEY = "/deis/logs/storageAdapterType"
PROTOCOL_KEY = "/deis/logs/protocol"
"""What logspout sends by: udp unless it is set, and nobody takes anything else (deis-facts 8)."""

DEFAULT_LINES = 1000
"""Lines for each app that logger's memory keeps when none are named (deis-facts 3)."""

NO_SECRET = SecretStr("")


class LoggingChoices(Choices):
    """Where logs go, where they are kept, and which agents watch the hosts.

    ``drain_to`` means something only with ``drain`` "send", ``forward_to`` only when the journal is
    forwarded, an agent's fields only when it is among ``agents``. ``word`` is what the operator read
    at the receiver. ``own_unit`` is the path of a unit file on this machine; ``own_unit_text`` its
    content, read where choices are built.
    """

    drain: Literal["keep", "off", "send"] = "keep"
    drain_to: str = ""
    proof: Literal["word", "listen", "none"] = "word"
    word: str = ""
    storage: Literal["keep", "file", "memory"] = "keep"
    memory_lines: int = Field(default=DEFAULT_LINES, ge=1, le=1_000_000)
    forward: Literal["off", "plain", "tls"] = "off"
    forward_to: str = ""
    agents: tuple[Literal["cadvisor", "datadog", "newrelic", "sematext", "own"], ...] = ()
    cadvisor_image: str = ""
    cadvisor_listen: Literal["private", "all"] = "private"
    datadog_image: str = ""
    datadog_key: SecretStr = NO_SECRET
    newrelic_image: str = ""
    newrelic_key: SecretStr = NO_SECRET
    sematext_image: str = ""
    sematext_key: SecretStr = NO_SECRET
    own_unit: str = ""
    own_unit_text: str | None = Field(default=None, exclude=True, repr=False)

    @field_validator("drain", "forward", mode="before")
    @classmethod
    def _bare_off(cls, value: object) -> object:
        """YAML reads a bare ``off`` as false."""
        return "off" if value is False else value

    @field_validator("agents")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(value))

    def image(self, agent: str) -> str:
        """The image of an agent that has one of its own."""
        return str(getattr(self, f"{agent}_image"))

    def key(self, agent: str) -> SecretStr:
        """The key that was given for an agent; empty when none was, or it needs none."""
        found = getattr(self, f"{agent}_key", NO_SECRET)
        assert isinstance(found, SecretStr)
        return found


def storage_value(choices: LoggingChoices) -> str:
    """What the storage adapter's key shall be."""
    return memory_value(choices.memory_lines) if choices.storage == "memory" else choices.storage


def memory_value(lines: int) -> str:
    """The adapter that keeps so many lines of each app in logger's memory (deis-facts 3)."""
    return "memory" if lines == DEFAULT_LINES else f"memory:{lines}"
