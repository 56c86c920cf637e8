"""The stored cards that every shopper of the stand-in has, and what becomes of a payment with each."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

#: Adyen's refusal reasons for payments without a terminal: reason → (its code, what the bank said).
REFUSALS: dict[str, tuple[str, str]] = {
    "Refused": ("2", "05 : Do not honor"),
    "Referral": ("3", "01 : Refer to card issuer"),
    "Acquirer Error": ("4", "96 : System malfunction"),
    "Blocked Card": ("5", "62 : Restricted card"),
    "Expired Card": ("6", "54 : Expired card"),
    "Invalid Amount": ("7", "13 : Invalid amount"),
    "Invalid Card Number": ("8", "14 : Invalid card number"),
    "Issuer Unavailable": ("9", "91 : Issuer unavailable"),
    "Not supported": ("10", "57 : Transaction not permitted to cardholder"),
    "3D Not Authenticated": ("11", ""),
    "Not enough balance": ("12", "51 : Insufficient funds"),
    "Acquirer Fraud": ("14", "59 : Suspected fraud"),
    "Cancelled": ("15", ""),
    "Shopper Cancelled": ("16", ""),
    "FRAUD": ("20", ""),
    "Not Submitted": ("21", ""),
    "FRAUD-CANCELLED": ("22", ""),
    "Transaction Not Permitted": ("23", "57 : Transaction not permitted to cardholder"),
    "CVC Declined": ("24", "N7 : CVV2 failure"),
    "Restricted Card": ("25", "62 : Restricted card"),
    "Revocation Of Auth": ("26", "R1 : Revocation of authorization"),
    "Declined Non Generic": ("27", "05 : Do not honor"),
    "Withdrawal amount exceeded": ("28", "61 : Exceeds withdrawal amount limit"),
    "Withdrawal count exceeded": ("29", "65 : Exceeds withdrawal frequency limit"),
    "Issuer Suspected Fraud": ("31", "59 : Suspected fraud"),
    "AVS Declined": ("32", "05 : Do not honor"),
    "Card requires online pin": ("33", "65 : PIN required"),
    "No checking account available on Card": ("34", "52 : No checking account"),
    "No savings account available on Card": ("35", "53 : No savings account"),
    "Mobile PIN required": ("36", ""),
    "Contactless fallback": ("37", ""),
    "Authentication required": ("38", "1A : Authentication required"),
    "RReq not received from DS": ("39", ""),
    "CVM Required Restart Payment": ("41", ""),
    "3DS Authentication Error": ("42", ""),
    "Online PIN required": ("43", ""),
    "Try another interface": ("44", ""),
    "Chip downgrade mode": ("45", ""),
    "Transaction blocked by Adyen to prevent excessive retry fees": ("46", ""),
}


_EXPIRES = re.compile(r"(0[1-9]|1[0-2])/20[0-9]{2}")


@dataclass(frozen=True)
class StoredCard:
    """A stored card. result: the resultCode of a payment with it; refusal: the reason, where it is refused, at once or
    after it was pending. challenge: the bank wants to see the customer."""

    brand: str = "visa"
    last4: str = "1111"
    expires: str = "03/2030"
    result: Literal["Authorised", "Refused", "Error", "Pending", "Received"] = "Authorised"
    refusal: str | None = None
    challenge: bool = False
    capture_fails: bool = False
    refund_fails: bool = False
    disputed: bool = False


def token_of(reason: str) -> str:
    """The token of the card that is refused for `reason`: `stored_refused_not_enough_balance`."""
    words = "".join(each if each.isalnum() else " " for each in reason.lower()).split()
    return "_".join(["stored_refused", *words])


#: storedPaymentMethodId → card.
CARDS: dict[str, StoredCard] = {
    "stored_visa": StoredCard(),
    "stored_mastercard": StoredCard("mc", "4444"),
    "stored_amex": StoredCard("amex", "0002"),
    "stored_refused": StoredCard(result="Refused", refusal="Refused"),
    **{token_of(reason): StoredCard(result="Refused", refusal=reason) for reason in REFUSALS},
    "stored_error": StoredCard(result="Error", refusal="Acquirer Error"),
    "stored_redirect": StoredCard(challenge=True),
    "stored_redirect_refused": StoredCard(challenge=True, result="Refused", refusal="Not enough balance"),
    "stored_pending": StoredCard(result="Pending"),
    "stored_received": StoredCard("sepadirectdebit", "", result="Received"),
    "stored_received_fails": StoredCard(
        "sepadirectdebit", "", result="Received", refusal="Not enough balance"
    ),
    "stored_capture_fails": StoredCard(capture_fails=True),
    "stored_refund_fails": StoredCard(refund_fails=True),
    "stored_disputed": StoredCard(disputed=True),
}


def renewed(card: StoredCard, expires: str, last4: str | None = None) -> StoredCard:
    """The card that took its place, good until the end of `expires` (04/2033), and taken. ValueError else."""
    if not _EXPIRES.fullmatch(expires):
        raise ValueError(f"{expires!r} is no month of a card; write it as 04/2033")
    return replace(card, expires=expires, last4=last4 or card.last4, result="Authorised", refusal=None)


def turned(card: StoredCard, outcome: str) -> StoredCard:
    """The same card, from now on refused for `outcome` (a reason), or "Authorised" again. ValueError else."""
    if outcome == "Authorised":
        return replace(card, result="Authorised", refusal=None)
    if outcome not in REFUSALS:
        raise ValueError(
            f"no refusal is called {outcome!r}; there are: Authorised, {', '.join(sorted(REFUSALS))}"
        )
    return replace(card, result="Refused", refusal=outcome)
