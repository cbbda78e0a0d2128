"""`python -m flyback.agent`."""

from __future__ import annotations

import sys

from flyback.agent.main import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
