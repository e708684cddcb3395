"""`python -m tinygen` is the command `tinygen`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
