"""``python -m rlprune.experiments.cli``."""

from __future__ import annotations

import sys

from rlprune.experiments.cli import main

if __name__ == "__main__":
    sys.exit(main())
