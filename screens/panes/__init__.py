"""Live parts of the run screen."""
