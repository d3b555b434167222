"""deiswizard: a guided way to make a Deis v1 cluster ready for production."""

__version__ = "0.1.0"
