"""Talking to the cluster: SSH, tunnels, etcd, fleet, Docker, and the probe that reads them all."""
