"""Names that the tests and the processes which they start share; it imports nothing, so that those start soon."""

from __future__ import annotations

NAMESPACE = "masthead"
