"""The recommendations of the "Production deployments" page: one module each, all of the shape in base.py."""
