"""Whole flows, the same on the pretend cluster and on real services, so that the first cannot drift."""
