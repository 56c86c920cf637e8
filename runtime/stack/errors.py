"""What can go wrong with the stack, said so that an operator knows what to do."""

from __future__ import annotations


class StackError(Exception):
    """The stack, or a part of it, cannot run. The message says which part, why and where its log is."""
