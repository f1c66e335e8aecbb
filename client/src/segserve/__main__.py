"""``python -m segserve``."""

import sys

from segserve.cli import main

if __name__ == "__main__":
    sys.exit(main())
