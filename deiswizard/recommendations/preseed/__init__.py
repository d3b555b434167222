"""Preseeding containers."""
