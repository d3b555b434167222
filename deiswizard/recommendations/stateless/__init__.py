"""Running without Ceph."""
