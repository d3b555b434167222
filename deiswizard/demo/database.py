"""The pretend cluster's own database: its tables, and the dump that pg_dump prints of them."""

from __future__ import annotations

import functools
from collections.abc import Mapping

TABLES: Mapping[str, int] = {
    "api_app": 2, "api_build": 41, "api_config": 57, "api_container": 31, "api_domain": 1, "api_key": 9,
    "api_push": 1300, "api_release": 98, "auth_permission": 54, "auth_user": 7, "django_content_type": 18,
    "guardian_userobjectpermission": 12,
}  # fmt: skip
"""Table to its rows: some of what the controller of Deis 1.13 has (Django's names)."""

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
    for table, count in TABLES.items():
        rows = "".join(
            f"{n}\t{(n * 2654435761 + len(table)) % 2**64:016x}" * 1 + "\n" for n in range(count)
        )
        parts.append(f"COPY {table} (id, uuid) FROM stdin;\n{rows}\\.\n\n\n")
    return "".join([*parts, TAIL]).encode()
