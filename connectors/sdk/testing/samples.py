"""A believable request for every method of every capability, so that an author need not write any.

A sample is made against the connector: what must be there first (a held charge for a capture) is brought about.
`n` tells one sample from another; the same n gives the same request and the same key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from connectors.sdk.capabilities import (
    campaigns,
    crm,
    drm,
    ledger,
    mail,
    payment,
    provisioning,
    publishing,
    shipping,
    support,
    tax,
)
from connectors.sdk.key import Key
from connectors.sdk.values import Address

#: Stand in the requests; found in a log, an error or a repr, they are a leak of personal data.
MARKER_NAME = "Marker Quillfeather"
MARKER_MAIL = "marker.quillfeather@example.com"
MARKER_STREET = "77 Marker Lane"

DAY = date(2026, 11, 2)
UNTIL = datetime(2027, 6, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a method is called with: `request` and, for a write, `key`."""

    request: Any
    key: Key


Maker = Callable[[Any, str], Awaitable[Sample]]


def _key(what: str, n: str) -> Key:
    return Key.of(what, f"kit-{n}")


def address(country: str = "US") -> Address:
    """Where the marked reader lives."""
    return Address(line1=MARKER_STREET, city="New York", region="NY", postal_code="10001", country=country)


def charge(n: str, **changes: Any) -> payment.ChargeOrder:
    """A charge of 12.50 USD; `changes` override fields."""
    fields: dict[str, Any] = {
        "reference": f"pay-{n}",
        "amount": 1250,
        "currency": "USD",
        "method": "pm_card_visa",
    }
    return payment.ChargeOrder(**{**fields, **changes})


def tokens(connector: Any, *names: str) -> dict[str, Any]:
    """Those of the tokens that orders to the connector's stand-in need instead of the kit's."""
    known: Mapping[str, str] = getattr(type(connector), "sandbox_order", {})
    return {name: known[name] for name in names if name in known}


def charge_to(connector: Any, n: str, **changes: Any) -> payment.ChargeOrder:
    """A charge that the connector's stand-in knows the tokens of."""
    return charge(n, **{**tokens(connector, "customer", "method"), **changes})


async def _charge(connector: Any, n: str) -> Sample:
    return Sample(charge_to(connector, n), _key("charge", n))


async def held(connector: Any, n: str) -> payment.Payment:
    """A charge that is only held."""
    order = charge_to(connector, f"held-{n}", capture=False)
    made: payment.Payment = await connector.charge(order, Key.of("charge", order.reference))
    return made


async def _capture(connector: Any, n: str) -> Sample:
    made = await held(connector, n)
    return Sample(payment.CaptureOrder(payment=made.id, known=made), _key("capture", n))


async def _void(connector: Any, n: str) -> Sample:
    made = await held(connector, n)
    return Sample(payment.VoidOrder(payment=made.id, known=made), _key("void", n))


async def charged(connector: Any, n: str) -> payment.Payment:
    """A charge that succeeded."""
    order = charge_to(connector, f"charged-{n}")
    made: payment.Payment = await connector.charge(order, Key.of("charge", order.reference))
    return made


async def _refund(connector: Any, n: str) -> Sample:
    made = await charged(connector, n)
    order = payment.RefundOrder(reference=f"refund-{n}", payment=made.id, amount=500, currency="USD")
    return Sample(order, _key("refund", n))


async def _set_up(connector: Any, n: str) -> Sample:
    fields = {"method": "pm_card_visa", **tokens(connector, "customer", "method")}
    return Sample(payment.SetupOrder(reference=f"setup-{n}", **fields), _key("setup", n))


async def _complete(connector: Any, n: str) -> Sample:
    """A payment whose customer has approved it at the bank's page, which every stand-in has at next_action_url."""
    fields = {"method": "pm_card_threeDSecure2Required", **tokens(connector, "customer", "method")}
    fields |= {"method": tokens(connector, "action_method").get("action_method", fields["method"])}
    order = charge(f"action-{n}", off_session=False, return_url="https://shop.example.com/back", **fields)
    asked = await connector.charge(order, Key.of("charge", order.reference))
    async with httpx.AsyncClient() as browser:
        back = await browser.post(f"{asked.next_action_url}/approve")
    returned = parse_qs(urlsplit(back.headers["location"]).query)
    result = payment.ActionResult(result=returned["redirectResult"][0], known=asked)
    return Sample(result, _key("complete", n))


def tax_order(n: str) -> tax.TaxOrder:
    """Two lines sold to a reader in New York."""
    return tax.TaxOrder(
        code=f"INV-{n}",
        on=DAY,
        currency="USD",
        customer=f"acct-{n}",
        ship_from=Address(line1="1 Press St", city="Albany", region="NY", postal_code="12207", country="US"),
        ship_to=address(),
        lines=(
            tax.TaxOrderLine(number="1", amount=1999, description="Digital monthly"),
            tax.TaxOrderLine(number="2", amount=501, description="Article pass"),
        ),
    )


async def _commit(connector: Any, n: str) -> Sample:
    return Sample(tax_order(n), _key("tax", n))


async def committed(connector: Any, n: str) -> tax.TaxDocument:
    """A document that the engine has committed."""
    order = tax_order(f"c-{n}")
    made: tax.TaxDocument = await connector.commit(order, Key.of("tax", order.code))
    return made


async def _tax_refund(connector: Any, n: str) -> Sample:
    made = await committed(connector, f"r-{n}")
    return Sample(tax.TaxRefund(code=f"CN-{n}", of=made.code, on=DAY), _key("tax-refund", n))


async def _tax_void(connector: Any, n: str) -> Sample:
    made = await committed(connector, f"v-{n}")
    return Sample(tax.TaxVoid(code=made.code, reason="kit"), _key("tax-void", n))


async def _send(connector: Any, n: str) -> Sample:
    letter = mail.Mail(
        sender="Masthead <billing@example.com>",
        to=f"{MARKER_NAME} <{MARKER_MAIL}>",
        subject=f"Your receipt {n}",
        text=f"Thank you, {MARKER_NAME}.",
        html=f"<p>Thank you, {MARKER_NAME}.</p>",
    )
    return Sample(letter, _key("mail", n))


def contact(n: str, **fields: str | None) -> crm.CrmRecord:
    """A contact with the fields that most systems have."""
    base: dict[str, str | None] = {
        "email": f"{n}.{MARKER_MAIL}",
        "firstname": MARKER_NAME.split()[0],
        "lastname": MARKER_NAME.split()[1],
    }
    return crm.CrmRecord(kind=crm.CrmKind.CONTACT, key=f"acct-{n}", fields={**base, **fields}, version=1)


async def _upsert(connector: Any, n: str) -> Sample:
    return Sample([contact(n)], _key("crm", n))


async def _publish_catalog(connector: Any, n: str) -> Sample:
    product = crm.CrmRecord(
        kind=crm.CrmKind.PRODUCT, key=f"plan-{n}", fields={"name": f"Plan {n}", "price": "12.50"}, version=1
    )
    return Sample([product], _key("catalog", n))


def journal(n: str) -> ledger.Journal:
    """A balanced journal of 12.50 USD."""
    return ledger.Journal(
        number=f"JRN-{n}",
        on=DAY,
        currency="USD",
        narration="Subscriptions of the day",
        lines=(
            ledger.JournalPosting(account="1100", debit=1250),
            ledger.JournalPosting(account="4000", credit=1250),
        ),
    )


async def _post(connector: Any, n: str) -> Sample:
    return Sample(journal(n), _key("journal", n))


async def _reverse(connector: Any, n: str) -> Sample:
    posted = journal(f"of-{n}")
    await connector.post(posted, Key.of("journal", posted.number))
    return Sample(ledger.JournalReversal(number=f"REV-{n}", of=posted.number, on=DAY), _key("reversal", n))


async def _publish(connector: Any, n: str) -> Sample:
    offering = publishing.Offering(
        code=f"plan-{n}", title=f"Plan {n}", text="All of it", features=("articles",)
    )
    return Sample(offering, _key("offering", n))


async def _withdraw(connector: Any, n: str) -> Sample:
    made = await _publish(connector, f"w-{n}")
    await connector.publish(made.request, made.key)
    return Sample(publishing.OfferingWithdrawal(code=made.request.code), _key("withdrawal", n))


def profile(n: str) -> campaigns.Profile:
    """The marked reader as campaigns know them."""
    return campaigns.Profile(key=f"acct-{n}", email=f"{n}.{MARKER_MAIL}", fields={"first_name": "Marker"})


async def _profiles(connector: Any, n: str) -> Sample:
    return Sample([profile(n)], _key("profile", n))


async def _track(connector: Any, n: str) -> Sample:
    told = campaigns.CampaignEvent(
        key=f"event-{n}", profile=f"acct-{n}", name="renewed", at=datetime(2026, 11, 2, tzinfo=UTC)
    )
    return Sample([told], _key("event", n))


async def _suppress(connector: Any, n: str) -> Sample:
    return Sample([profile(n)], _key("suppress", n))


def parcel(n: str) -> shipping.Parcel:
    """A book to the marked reader."""
    sender = Address(line1="1 Press St", city="Albany", region="NY", postal_code="12207", country="US")
    return shipping.Parcel(order=f"ship-{n}", name=MARKER_NAME, to=address(), sender=sender, weight=400)


async def _buy(connector: Any, n: str) -> Sample:
    return Sample(parcel(n), _key("label", n))


async def _label_void(connector: Any, n: str) -> Sample:
    bought = await connector.buy(parcel(f"v-{n}"), Key.of("label", f"v-{n}"))
    return Sample(shipping.LabelVoid(label=bought.id), _key("label-void", n))


def licence(n: str) -> drm.LicenceOrder:
    """A licence paid through the first of June."""
    return drm.LicenceOrder(
        reference=f"lic-{n}",
        content="book-1",
        reader=f"acct-{n}",
        starts_at=UNTIL - timedelta(days=30),
        until=UNTIL,
    )


async def _grant(connector: Any, n: str) -> Sample:
    return Sample(licence(n), _key("licence", n))


async def _granted(connector: Any, n: str) -> drm.Licence:
    made: drm.Licence = await connector.grant(licence(n), Key.of("licence", n))
    return made


async def _extend(connector: Any, n: str) -> Sample:
    made = await _granted(connector, f"e-{n}")
    return Sample(
        drm.LicenceExtension(licence=made.id, until=UNTIL + timedelta(days=30)), _key("extension", n)
    )


async def _revoke(connector: Any, n: str) -> Sample:
    made = await _granted(connector, f"r-{n}")
    return Sample(drm.LicenceRevocation(licence=made.id), _key("revocation", n))


def user(n: str) -> provisioning.UserState:
    """The marked reader with one feature."""
    first, last = MARKER_NAME.split()
    return provisioning.UserState(
        external_id=f"sub-{n}",
        user_name=f"{n}.{MARKER_MAIL}",
        given_name=first,
        family_name=last,
        features=("articles",),
    )


async def _put(connector: Any, n: str) -> Sample:
    return Sample(user(n), _key("user", n))


async def _deactivate(connector: Any, n: str) -> Sample:
    await connector.put(user(f"d-{n}"), Key.of("user", f"d-{n}"))
    return Sample(provisioning.UserDeactivation(external_id=f"sub-d-{n}"), _key("deactivation", n))


async def _upsert_view(connector: Any, n: str) -> Sample:
    view = support.CustomerView(
        key=f"acct-{n}", name=MARKER_NAME, email=f"{n}.{MARKER_MAIL}", fields={"plan": "monthly"}
    )
    return Sample(view, _key("view", n))


def ticket(n: str) -> support.TicketOrder:
    """A question of the marked reader."""
    return support.TicketOrder(
        reference=f"tkt-{n}",
        customer=f"acct-{n}",
        subject="Where is my paper?",
        text=f"Regards, {MARKER_NAME}",
    )


async def _open(connector: Any, n: str) -> Sample:
    return Sample(ticket(n), _key("ticket", n))


async def _comment(connector: Any, n: str) -> Sample:
    opened = await connector.open(ticket(f"c-{n}"), Key.of("ticket", f"c-{n}"))
    return Sample(
        support.TicketComment(ticket=opened.id, reference=f"cmt-{n}", text=f"{MARKER_NAME} called again"),
        _key("comment", n),
    )


#: By capability and method.
WRITES: dict[str, dict[str, Maker]] = {
    "payment": {"charge": _charge, "capture": _capture, "void": _void, "refund": _refund},
    "payment_methods": {"set_up": _set_up},
    "payment_actions": {"complete": _complete},
    "tax": {"commit": _commit, "refund": _tax_refund, "void": _tax_void},
    "mail": {"send": _send},
    "crm": {"upsert": _upsert, "publish_catalog": _publish_catalog},
    "ledger": {"post": _post, "reverse": _reverse},
    "cms": {"publish": _publish, "withdraw": _withdraw},
    "campaigns": {"upsert_profiles": _profiles, "track": _track, "suppress": _suppress},
    "shipping": {"buy": _buy, "void": _label_void},
    "drm": {"grant": _grant, "extend": _extend, "revoke": _revoke},
    "provisioning": {"put": _put, "deactivate": _deactivate},
    "support": {"upsert_view": _upsert_view, "open": _open, "comment": _comment},
}


#: What a read is called with, by capability and method.
async def _made_setup(connector: Any) -> tuple[Any, ...]:
    """Of a setup there is nothing to look for but its own id."""
    sample = await _set_up(connector, "asked")
    made = await connector.set_up(sample.request, sample.key)
    return (made.id,)


async def read_arguments(given: Any, capability: str, method: str, connector: Any) -> tuple[Any, ...]:
    """What a read is called with: what the author has `given`, or else the kit's own, which may have to be made at the
    connector's system first."""
    found = given or READS[capability][method]
    return tuple(await found(connector)) if callable(found) else tuple(found)


READS: dict[str, dict[str, Any]] = {
    "payment": {"find": ("pay-none",)},
    "payment_setups": {"find_setup": _made_setup},
    "tax": {"quote": (tax_order("q"),), "find": ("INV-none",)},
    "crm": {"changes": (crm.CrmKind.CONTACT, None)},
    "ledger": {"find": ("JRN-none",)},
    "shipping": {
        "validate": (address(),),
        "rate": (parcel("q"),),
        "find": ("ship-none",),
        "track": ("label-none",),
    },
    "drm": {"status": ("lic-none",)},
    "provisioning": {"find": ("sub-none",)},
}
