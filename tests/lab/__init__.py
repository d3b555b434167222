"""Hosts of a cluster on this machine, each with a systemd of its own, and a registry between them."""
