"""The errors that a command shows to its user as such."""

from __future__ import annotations


class UserError(Exception):
    """The input, the settings or the place cannot be worked with: said with a remedy, exit code 2.

    `message` says what is wrong and where (file, line, field); `remedy` what to do about it.
    """

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class CommandFailed(Exception):
    """What was asked for was right and did not come about: said with a remedy, exit code 1."""

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
