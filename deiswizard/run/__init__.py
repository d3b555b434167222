"""Runs: a plan being executed, its events, its journal, and the state they add up to."""
