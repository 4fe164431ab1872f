"""Evaluates a run and writes its report: ``python evaluate.py run=runs/<name>``."""

import sys

from visionkit.cli import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
