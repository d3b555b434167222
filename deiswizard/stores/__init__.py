"""Stores outside the cluster."""
