"""Isolating the planes."""
