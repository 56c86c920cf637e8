"""Tables for people: as wide as the terminal, and wide enough to be read in a file or a pipe."""

from __future__ import annotations

import sys

from rich.console import Console

WIDTH_ELSEWHERE = 160


def wide_console() -> Console:
    """A console on stdout that folds nothing where no terminal sets a width."""
    return Console(width=None if sys.stdout.isatty() else WIDTH_ELSEWHERE)
