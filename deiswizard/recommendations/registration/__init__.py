"""Registration mode."""
