"""Backups of a cluster's data: what is copied, where to, how it is sealed, and how it is proven."""
