"""The same user-data in the layouts in which it is found."""

from __future__ import annotations

from pathlib import Path

import yaml

URL = "https://discovery.etcd.io/0123456789abcdef0123456789abcdef"
BY_HAND = (Path(__file__).parent / "files" / "user-data").read_bytes().decode()
FILLED = BY_HAND.replace(" #DISCOVERY_URL", f" {URL}")
DATA = yaml.safe_load(FILLED)

SHORT = """\
#cloud-config
coreos:
  etcd2: {discovery: "https://d.example/v2/keys/abc", name: one}
  fleet:
    metadata:   ssd=true     # disks
  units:
  - name: etcd2.service
    command: start
    # more below
hostname: deis-1
"""

LAYOUTS: dict[str, str] = {
    "by hand": FILLED,
    "windows": FILLED.replace("\n", "\r\n"),
    "no final line end": FILLED.rstrip("\n"),
    "short": SHORT,
    "short, no final line end": SHORT.rstrip("\n"),
    # Deis's provisioning scripts read the file and dump it again, each in its way.
    "dumped": "#cloud-config\n" + yaml.dump(DATA),
    "dumped, leaves in flow": "#cloud-config\n---\n" + yaml.dump(DATA, default_flow_style=None),
    "dumped, all blocks": "#cloud-config\n\n"
    + yaml.dump(DATA, default_flow_style=False, default_style="|"),
    "dumped, all flow": "#cloud-config\n" + yaml.dump(DATA, default_flow_style=True, width=10**6),
}
