"""Isolating etcd."""
