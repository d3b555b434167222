"""Style sheets, templates and demo scenarios."""
