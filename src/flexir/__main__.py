"""``python -m flexir``: see :mod:`flexir.cli`."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
