"""``python -m deiswizard``."""

from deiswizard.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
