"""Asks the service behind a discovery URL how many members it is for, and who has come already."""

from __future__ import annotations

from urllib.parse import urlsplit

import urllib3

from deiswizard.errors import ServiceError
from deiswizard.userdata.discovery import Discovered, answered, questions

SECONDS = 10.0
LARGEST = 100_000
"""Bytes of an answer that are read."""


def ask_service(url: str) -> Discovered:
    """What the service tells. Reads only; the URL stands in no error.

    Raises:
        ServiceError: it did not answer, or not as etcd's discovery does.
    """
    host = urlsplit(url).hostname
    bodies = []
    with urllib3.PoolManager(retries=urllib3.Retry(0, redirect=3), timeout=SECONDS) as pool:
        for question in questions(url):
            try:
                answer = pool.request("GET", question, preload_content=False)
                body = answer.read(LARGEST).decode(errors="replace")
                answer.release_conn()
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                raise _silent(host, type(error).__name__) from None
            if answer.status == 404:
                return Discovered(is_known=False)
            if answer.status != 200:
                raise _silent(host, f"HTTP {answer.status}")
            bodies.append(body)
    return answered(*bodies)


def _silent(host: str | None, said: str) -> ServiceError:
    return ServiceError(
        f"the discovery service at {host} did not answer",
        said=said,
        state="nothing was written",
        do="check again where it can be reached, or leave --ask-discovery out",
    )
