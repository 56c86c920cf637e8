"""A reader ends marketing mails by the link in one of them."""

from __future__ import annotations

from datetime import UTC, datetime

from operations.mails.compose import token_hash
from operations.sync.commands import ConsentChange, set_consent
from storage.database import PgConnection
from storage.mails import account_of_token


def withdraw_consent(connection: PgConnection, token: str, now: datetime | None = None) -> bool:
    """Take back the consent of the reader who got the link with `token`; False for a token that is nobody's. A second
    time changes nothing."""
    found = account_of_token(connection, token_hash(token))
    if found is None:
        return False
    mode, account, mail = found
    change = ConsentChange(account=account, consent=False, at=now or datetime.now(UTC))
    set_consent(connection, mode, change, told_by="reader", reason=f"unsubscribed by the link in mail {mail}")
    return True
