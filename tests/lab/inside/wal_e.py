"""A stand-in for ``wal-e --terse backup-list``: the base backups that the bucket really holds.

wal-e itself is not there: nothing makes backups by itself, and nothing is restored from them.
"""

from __future__ import annotations

import re
import sys
import urllib.request
from xml.etree import ElementTree

from tests.lab.inside.etcd_v2 import Etcd

HEADER = (
    "name\tlast_modified\texpanded_size_bytes\twal_segment_backup_start\t"
    "wal_segment_offset_backup_start\twal_segment_backup_stop\twal_segment_offset_backup_stop"
)
SENTINEL = re.compile(r"basebackups_005/(base_([0-9A-F]+)_(\d+))_backup_stop_sentinel\.json")
SPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def listing(etcd: Etcd) -> ElementTree.Element:
    """The bucket's first thousand objects. Raises OSError when the gateway does not answer."""
    keys = etcd.tree("/deis/store/gateway")
    host, port, access = (keys.get(f"/deis/store/gateway/{n}", "") for n in ("host", "port", "accessKey"))  # fmt: skip
    bucket = etcd.value("/deis/database/bucketName") or "db_wal"
    request = urllib.request.Request(
        f"http://{host}:{port}/{bucket}?prefix=basebackups_005/",
        headers={"Authorization": f"AWS {access}:unsigned"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return ElementTree.fromstring(answer.read())


def main() -> None:
    """Print them."""
    try:
        found = listing(Etcd())
    except OSError as error:
        sys.exit(f"wal_e.main   CRITICAL MSG: the store could not be asked: {error}")
    print(HEADER)
    for item in found.iter(f"{SPACE}Contents"):
        if match := SENTINEL.fullmatch(item.findtext(f"{SPACE}Key", "")):
            name, segment, offset = match.groups()
            print(f"{name}\t{item.findtext(f'{SPACE}LastModified')}\t\t{segment}\t{offset}\t\t")


if __name__ == "__main__":
    main()
