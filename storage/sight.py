"""What a caller may see of the accounts: all, those of one mode, or just one."""

from __future__ import annotations

from typing import Any, NamedTuple


class Sight(NamedTuple):
    """A bound on what is read: accounts of `mode` only, the one account only; None where there is no bound."""

    mode: str | None = None
    account_id: str | None = None

    @property
    def within(self) -> str:
        """The SQL condition; the account is `a`. Only the bounds that there are, so that an index serves them."""
        conditions = ["true"]
        if self.mode is not None:
            conditions.append("a.mode = %(sight_mode)s")
        if self.account_id is not None:
            conditions.append("a.id = %(sight_account)s")
        return " and ".join(conditions)

    @property
    def parameters(self) -> dict[str, Any]:
        """What goes with `within`."""
        return {"sight_mode": self.mode, "sight_account": self.account_id}


EVERYTHING = Sight()
