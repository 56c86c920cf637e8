"""Declines: what a gateway's, card network's or bank's code means for the next try.

Soft: the same payment method may work on another day. Hard: it will not, until the customer gives another. Action: it
may, once the customer has done something (authenticate, call the bank). A timeout is none of these: nobody knows
whether money moved, so nothing is tried under a new key until the gateway has been asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class DeclineClass(StrEnum):
    """What a decline asks for: time (soft), another payment method (hard), or the customer (action)."""

    SOFT = "soft"
    HARD = "hard"
    ACTION = "action"


@dataclass(frozen=True, slots=True)
class Decline:
    """A decline as it was understood. `code` is in the table's spelling, `meaning` is for operations people. `known` is
    False for a code that is in no table. `max_tries` is the most attempts that the payment scheme allows, the first
    included; None where it sets no limit of its own."""

    code: str
    decline_class: DeclineClass
    meaning: str
    known: bool = True
    max_tries: int | None = None


# Nacha Operating Rules, reinitiation: a returned debit may be sent twice more, three entries in all.
ACH_MAX_TRIES = 3
_MAX_TRIES = {"r01": ACH_MAX_TRIES, "r09": ACH_MAX_TRIES}

# Sources: the decline codes that Stripe and Adyen publish (Adyen: the text of refusalReason, whose numbers mean other
# things than the card networks' do), ISO 8583 response codes as Visa and Mastercard use them, the EPC's reason codes
# for SEPA direct debit, Nacha's return codes. What Visa says an issuer will never approve is hard.
_SOFT = """
insufficient_funds | not enough money on the account
not_enough_balance | not enough money on the account
51 | not enough money on the account
am04 | not enough money on the account
r01 | not enough money on the account
r09 | the money on the account is not cleared yet
do_not_honor | the bank declined without a reason
generic_decline | the bank declined without a reason
declined_non_generic | the bank declined without a reason that the gateway passes on
refused | the bank declined without a reason
no_action_taken | the bank declined without a reason
not_submitted | the gateway did not pass the payment on
try_another_interface | the bank declined without a reason
chip_downgrade_mode | the bank declined without a reason
05 | the bank declined without a reason
ms03 | the bank declined without a reason
processing_error | the bank or gateway failed while it processed the payment
acquirer_error | the bank or gateway failed while it processed the payment
reenter_transaction | the bank asks for the payment to be sent again
try_again_later | the bank asks for the payment to be sent again
06 | the bank failed while it processed the payment
19 | the bank asks for the payment to be sent again
96 | the card network failed
issuer_unavailable | the bank could not be reached
issuer_not_available | the bank could not be reached
91 | the bank could not be reached
92 | the card network could not route the payment
card_velocity_exceeded | over the card's limit for now
withdrawal_count_limit_exceeded | over the card's limit for now
withdrawal_count_exceeded | over the card's limit for now
withdrawal_amount_exceeded | over the card's limit for now
61 | over the card's limit for now
65 | over the card's number of payments for now
tm01 | the file came after the bank's cut-off time
ed05 | the settlement between the banks failed
"""
_HARD = """
expired_card | the card has expired
54 | the card has expired
lost_card | the card was reported lost
41 | the card was reported lost
stolen_card | the card was reported stolen
43 | the card was reported stolen
pickup_card | the card was withdrawn by the bank
04 | the card was withdrawn by the bank
07 | the card was withdrawn by the bank after fraud
blocked_card | the card is blocked
restricted_card | the card is restricted
62 | the card is restricted
fraudulent | the payment is taken for fraud
fraud | the payment is taken for fraud
fraud_cancelled | the payment is taken for fraud
acquirer_fraud | the payment is taken for fraud
issuer_suspected_fraud | the payment is taken for fraud
merchant_blacklist | the payment method is on the block list
security_violation | the bank sees a breach of security
59 | the payment is taken for fraud
63 | the bank sees a breach of security
83 | the payment is taken for fraud
do_not_try_again | the bank asks not to be asked again
transaction_blocked_by_adyen_to_prevent_excessive_retry_fees | the card networks charge for asking this bank again
79 | the bank will not approve this card again
82 | the bank's policy does not allow the payment
93 | the payment would break a law
invalid_account | there is no such account behind the card
14 | there is no such card
15 | there is no such bank
46 | the account is closed
78 | the card is blocked or has no account
39 | there is no credit account behind the card
52 | there is no checking account behind the card
no_checking_account_available_on_card | there is no checking account behind the card
53 | there is no savings account behind the card
no_savings_account_available_on_card | there is no savings account behind the card
incorrect_number | the card's number is wrong
invalid_number | the card's number is wrong
invalid_card_number | the card's number is wrong
invalid_expiry_month | the card's expiry date is wrong
invalid_expiry_year | the card's expiry date is wrong
new_account_information_available | the card was replaced by another
card_not_supported | the card does not allow this kind of payment
currency_not_supported | the card does not allow this currency
not_supported | the card does not allow this kind of payment
not_permitted | the card does not allow this kind of payment
transaction_not_allowed | the card does not allow this kind of payment
transaction_not_permitted | the card does not allow this kind of payment
service_not_allowed | the card does not allow this kind of payment
12 | the card does not allow this kind of payment
57 | the card does not allow this kind of payment
58 | the card does not allow this kind of payment here
revocation_of_authorization | the customer took back the permission to charge
revocation_of_all_authorizations | the customer took back the permission to charge
revocation_of_auth | the customer took back the permission to charge
stop_payment_order | the customer stopped the payments at the bank
r0 | the customer stopped the payment at the bank
r1 | the customer took back the permission to charge
r3 | the customer took back every permission to charge
testmode_decline | a test card was used for a real payment
ac01 | the account's IBAN is wrong
ac04 | the account is closed
ac06 | the account is blocked
ac13 | the account is of a kind that cannot be debited so
ag01 | the account does not allow direct debit
md01 | there is no valid mandate
md02 | the mandate lacks something that the bank wants
md06 | the customer had the debit refunded
md07 | the account's owner has died
ms02 | the customer refused the debit
rc01 | the bank's identifier is wrong
rr04 | a regulation forbids the debit
r02 | the account is closed
r03 | there is no such account
r04 | the account's number is wrong
r05 | the customer did not authorise the debit
r07 | the customer took back the permission to debit
r08 | the customer stopped the debit at the bank
r10 | the customer did not authorise the debit
r11 | the customer says that the debit is not what was authorised
r12 | the account moved to another bank
r13 | the bank's routing number is wrong
r14 | the account's owner has died
r15 | the account's owner has died
r16 | the account is frozen
r20 | the account does not allow debits
r29 | the company did not authorise the debit
"""
_ACTION = """
authentication_required | the customer must confirm the payment with the bank
not_confirmed_in_time | the customer did not confirm the payment in time
authentication_not_handled | the customer must confirm the payment with the bank
3d_not_authenticated | the customer did not confirm the payment with the bank
3ds_authentication_error | the customer could not confirm the payment with the bank
rreq_not_received_from_ds | the customer could not confirm the payment with the bank
mobile_device_authentication_required | the customer must confirm the payment on the phone
shopper_cancelled | the customer broke off the payment
cancelled | the customer broke off the payment
1a | the customer must confirm the payment with the bank
call_issuer | the customer must call the bank
approve_with_id | the customer must call the bank
referral | the customer must call the bank
invalid_amount | the customer must ask the bank whether it allows this amount
01 | the customer must call the bank
13 | the customer must ask the bank whether it allows this amount
70 | the customer must call the bank
sl01 | the customer must allow the debit at the bank
incorrect_cvc | the customer must enter the card's security code again
invalid_cvc | the customer must enter the card's security code again
cvc_declined | the customer must enter the card's security code again
n7 | the customer must enter the card's security code again
incorrect_zip | the customer must correct the billing address
incorrect_address | the customer must correct the billing address
avs_declined | the customer must correct the billing address
incorrect_pin | the customer must enter the PIN again
invalid_pin | the customer must enter the PIN again
pin_try_exceeded | the customer must have the PIN unlocked by the bank
pin_tries_exceeded | the customer must have the PIN unlocked by the bank
offline_pin_required | the customer must enter the PIN
card_requires_online_pin | the customer must enter the PIN
online_pin_required | the customer must enter the PIN
mobile_pin_required | the customer must enter the PIN
cvm_required_restart_payment | the customer must enter the PIN
contactless_fallback | the customer must enter the PIN
pin_validation_not_possible | the customer must enter the PIN again
online_or_offline_pin_required | the customer must enter the PIN
55 | the customer must enter the PIN again
75 | the customer must have the PIN unlocked by the bank
"""

# After these nobody knows whether money moved. A duplicate is among them: what it repeats may have succeeded (law I6).
UNRESOLVED: frozenset[str] = frozenset(
    {
        "unknown", "timeout", "gateway_timeout", "request_timeout", "connection_error", "api_connection_error",
        "no_response", "68", "duplicate_transaction", "94", "am05", "r24",
    }
)  # fmt: skip


def _rows(decline_class: DeclineClass, table: str) -> Iterator[tuple[str, Decline]]:
    for row in table.strip().splitlines():
        code, meaning = row.split(" | ")
        yield code, Decline(code, decline_class, meaning, max_tries=_MAX_TRIES.get(code))


DECLINES: Mapping[str, Decline] = MappingProxyType(
    {
        **dict(_rows(DeclineClass.SOFT, _SOFT)),
        **dict(_rows(DeclineClass.HARD, _HARD)),
        **dict(_rows(DeclineClass.ACTION, _ACTION)),
    }
)


def code_name(code: str) -> str:
    """`code` in the table's spelling: small letters, underscores for blanks and hyphens (`Not enough balance` →
    `not_enough_balance`, `AC04` → `ac04`). A two-digit code keeps its zero: 05 and 5 are not the same."""
    return "_".join(code.replace("-", " ").lower().split())


def read_decline(code: str | None, classes: Mapping[str, DeclineClass] | None = None) -> Decline | None:
    """What the decline `code` of a gateway asks for, or None when it is no decline: the outcome is unknown, and the
    gateway must be asked before anything is tried or dunned.

    `classes` stands above the table (a publisher's own judgement by code, in the table's spelling). A code in neither,
    and a decline without any, is soft and not `known`: tried again, but a bounded number of times.
    """
    name = code_name(code or "")
    if name in UNRESOLVED:
        return None
    listed = DECLINES.get(name)
    judged = (classes or {}).get(name)
    if listed is None:
        meaning = f"the gateway says {name!r}, which is in no table" if name else "the gateway gave no code"
        return Decline(name, judged or DeclineClass.SOFT, meaning, known=judged is not None)
    return Decline(name, judged or listed.decline_class, listed.meaning, max_tries=listed.max_tries)
