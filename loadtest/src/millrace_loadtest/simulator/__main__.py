"""Let `python -m millrace_loadtest.simulator` do what `millrace-simulate` does."""

import sys

from millrace_loadtest.simulator.cli import main

if __name__ == "__main__":
    sys.exit(main())
