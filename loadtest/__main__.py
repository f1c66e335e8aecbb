"""``python -m loadtest``."""

import signal
import sys

from loadtest.cli import main

# What ends a CI job ends the run as Ctrl-C does: the server that it started stops too.
signal.signal(signal.SIGTERM, signal.default_int_handler)
sys.exit(main())
