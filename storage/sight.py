"""What a caller may see of the accounts: all, those of one mode, or just one."""

from __future__ import annotations

from typing import Any, NamedTuple


class Sight(NamedTuple):
    """A bound on what is read: accounts of `mode` only, the one account only; None where there is no bound."""

    mode: str | None = None
    account_id: str | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """What goes with `WITHIN` and `WITHIN_MODE`."""
        return {"sight_mode": self.mode, "sight_account": self.account_id}


EVERYTHING = Sight()

# SQL conditions; the account is `a`, or the row with a mode of its own is `r`.
WITHIN = (
    "(%(sight_mode)s::text is null or a.mode = %(sight_mode)s)"
    " and (%(sight_account)s::uuid is null or a.id = %(sight_account)s::uuid)"
)
