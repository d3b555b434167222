"""The pretend cluster's own database: its tables, and the dump that pg_dump prints of them."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence

SIZES: Mapping[str, int] = {
    "api_app": 2, "api_build": 41, "api_config": 57, "api_container": 31, "api_domain": 1, "api_key": 9,
    "api_push": 1300, "api_release": 98, "auth_permission": 54, "auth_user": 7, "django_content_type": 18,
    "guardian_userobjectpermission": 12,
}  # fmt: skip
"""Table to how many rows: some of what the controller of Deis 1.13 has (Django's names)."""

TABLES: Mapping[str, tuple[str, ...]] = {
    table: tuple(f"{n}\t{(n * 2654435761 + len(table)) % 2**64:016x}" for n in range(size))
    for table, size in SIZES.items()
}
"""Table to its rows, as COPY writes them."""


def content(rows: Sequence[str]) -> str:
    """What the wizard's question about a table is answered: how many, and the sum of what MD5 makes of each."""
    return f"{len(rows)} {sum(int(hashlib.md5(row.encode()).hexdigest()[:15], 16) for row in rows)}"


HEAD = """\
--
-- PostgreSQL database dump
--

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET search_path = public, pg_catalog;

"""
TAIL = """\
--
-- PostgreSQL database dump complete
--

"""


@functools.cache
def dump() -> bytes:
    """What ``pg_dump -t 'public.*'`` prints."""
    parts = [HEAD]
    for table in TABLES:
        parts.append(f"CREATE TABLE {table} (\n    id integer NOT NULL,\n    uuid text\n);\n\n\n")
    for table, rows in TABLES.items():
        lines = "".join(f"{row}\n" for row in rows)
        parts.append(f"COPY {table} (id, uuid) FROM stdin;\n{lines}\\.\n\n\n")
    return "".join([*parts, TAIL]).encode()
