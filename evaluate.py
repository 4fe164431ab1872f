"""Evaluates a run and writes its report: ``python evaluate.py run=runs/<name>``."""

import sys

from visionkit.errors import guard
from visionkit.launch import evaluate

if __name__ == "__main__":
    guard(evaluate, sys.argv[1:])
