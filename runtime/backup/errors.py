"""What can go wrong with a backup, said so that an operator knows what to do."""

from __future__ import annotations


class BackupError(Exception):
    """A backup cannot be taken, read or restored. The message says why; `remedy` what to do about it.

    refused: what was asked for cannot be, so that nothing was begun.
    """

    def __init__(self, message: str, *, remedy: str | None = None, refused: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.refused = refused
