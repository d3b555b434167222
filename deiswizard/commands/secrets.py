"""Secrets for the commands without a screen: from the environment, or typed unseen."""

from __future__ import annotations

import getpass
import sys

from pydantic import SecretStr

from deiswizard.materials import from_environment
from deiswizard.recommendations.base import FormField


def ask_secret(field: FormField) -> SecretStr | None:
    """The secret of a field; None where nobody is here to type it, or nothing was typed."""
    given = from_environment(field)
    if given is not None or not sys.stdin.isatty():
        return given
    typed = getpass.getpass(f"{field.label} (not shown): ")
    return SecretStr(typed) if typed else None
