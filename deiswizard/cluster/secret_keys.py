"""Which etcd keys hold secrets (deis-facts 3, 6, 8, 9): their values never leave the process."""

from __future__ import annotations

import re

KEPT = "/deiswizard/kept/"

PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        r"^/deis/controller/(secretKey|builderKey)$",
        r"^/deis/controller/ldap/.*password",
        r"^/deis/controller/auth/ldap/bind/password$",
        r"^/deis/database/(password|adminPass)$",
        r"^/deis/platform/sshPrivateKey$",
        r"^/deis/router/(sslKey|sslDhparam)$",
        r"^/deis/certs/[^/]+/key$",
        r"^/deis/registry/(s3accessKey|s3secretKey|secretKey|swift.*)$",
        r"^/deis/store/gateway/(accessKey|secretKey)$",
        r"^/deis/store/.*[kK]eyring.*$",
        r"^/deis/logs/drain$",
        r"^/deis/config/",
        r"^/deis/builder/users/",
        r"(?i)(password|passwd|secret|token|private_?key|api_?key)[^/]*$",
    )
)


def is_secret(key: str) -> bool:
    """Whether the value of ``key`` is to be kept from screens, files and logs.

    What this wizard keeps of former values is as secret as these were, or more.
    """
    return key.startswith(KEPT) or any(pattern.search(key) for pattern in PATTERNS)
