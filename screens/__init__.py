"""The terminal interface. It knows the engine; the engine does not know it."""
