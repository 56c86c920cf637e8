"""What two plays of one timeline are compared by, wherever they were played."""

from __future__ import annotations

from typing import Any

from domain.account.laws import broken_laws
from domain.simulation.play import Played
from domain.simulation.report import report


def outcome(played: Played) -> dict[str, Any]:
    """The report without the story, which a database does not keep, and in an order that says nothing."""
    found = report(played)
    del found["timeline"]
    del found["dunning"][0]  # since when an account has never owed anything says nothing
    for each in found["journal"]:
        each["postings"] = sorted(each["postings"], key=str)
    found["journal"].sort(key=str)
    found["revenue"].sort(key=str)
    found["broken_laws"] = broken_laws(played.account)
    return found
