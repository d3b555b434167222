"""Backing up data."""
