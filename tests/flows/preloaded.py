"""What every command of the wizard imports: imported once, by the process that the others are forked from."""

from __future__ import annotations

import importlib
import pkgutil

import boto3
import psycopg

import deiswizard

LATE = (boto3, psycopg)
"""Imported by a command only when it needs them."""

NOT_OF_COMMANDS = ("deiswizard.screens", "deiswizard.demo", "deiswizard.__main__")


def import_all() -> None:
    """The engine as a whole; no screen, and not the pretend cluster."""
    for module in pkgutil.walk_packages(deiswizard.__path__, "deiswizard."):
        if not module.name.startswith(NOT_OF_COMMANDS):
            importlib.import_module(module.name)


import_all()
