"""The bar of branches: `python -m tests.branches`, after a run with coverage, whose own bar counts lines too."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from coverage import Coverage

BAR = 98.0  # percent


def main() -> int:
    """0 when the branches taken are at least the bar."""
    measured = Coverage()
    measured.load()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "coverage.json"
        measured.json_report(outfile=str(file))
        totals = json.loads(file.read_text())["totals"]
    taken, all_of_them = totals["covered_branches"], totals["num_branches"]
    percent = 100 * taken / all_of_them
    sys.stdout.write(f"{taken} of {all_of_them} branches taken, {percent:.2f} %; the bar is {BAR:g} %\n")
    return 0 if percent >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
