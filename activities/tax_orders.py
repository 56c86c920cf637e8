"""Between drafts of invoices and what a tax engine is asked: orders from drafts, and tax from its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

from pydantic import ValidationError

from connectors.sdk.capabilities.tax import TaxedLine, TaxOrder, TaxOrderLine, TaxQuote
from connectors.sdk.methods import method, problems_of
from connectors.sdk.values import Address
from domain.invoices import Draft
from domain.tax import Treatment
from domain.tax_documents import EngineTax, LineToTax, TaxSource, charged_as, lines_to_tax, number_of
from domain.taxation import GivenTax

_UNNUMBERED = "draft"  # stands for the number of an invoice that has none yet
# AvaTax's longest certificate number has 25 characters; any text there stands for one.
_EXEMPT, _REVERSE_CHARGE = "exempt", "reverse charge"
_SHARE = Decimal("0.000001")


class WhenAway(StrEnum):
    """What billing does while the engine is away: wait for it, or take the built-in table."""

    WAIT = "wait"
    FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class TaxUse:
    """The connection that taxes what is billed in one mode. seller: where is sold from. codes: the engine's code for a
    tax category of the catalog; a category that is not named goes to the engine as it is."""

    connection: str
    seller: Address
    when_away: WhenAway = WhenAway.WAIT
    codes: Mapping[str, str] = field(default_factory=dict)


class TaxNotFound(Exception):
    """A draft that has no tax: what happened, and what to do. error_kind: for machines. It holds no personal data."""

    def __init__(self, error_kind: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.error_kind = error_kind
        self.message = message
        self.remedy = remedy


class TaxPending(TaxNotFound):
    """The engine is away, or cannot be used as it is: the same draft is taxed once it is back."""


class TaxRefused(TaxNotFound):
    """The engine refuses this draft, or its answer does not fit it: a person has to look."""


def order_of(draft: Draft, place: Mapping[str, str], use: TaxUse, *, settled: bool) -> TaxOrder:
    """The order that asks for the tax of a draft. settled: whether the engine is told of lines that have their tax
    already, as credits of what was billed before.

    Raises TaxRefused where the account's address is not known or cannot be one.
    """
    if not place.get("country"):
        raise TaxRefused(
            "no_tax_address",
            f"the account has no address, so that {use.connection} cannot say its tax",
            "Give the account a country (and a region, where it is taxed by region) or a tax region, then: "
            "masthead bill-run --parked --as-of DATE",
        )
    payer = draft.payer
    try:
        return TaxOrder(
            code=_UNNUMBERED,
            on=draft.issued_on,
            currency=payer.currency,
            customer=payer.id,
            ship_from=use.seller,
            ship_to=Address.model_validate(dict(place)),
            lines=tuple(
                _line(draft, line, use)
                for line in lines_to_tax(draft.lines)
                if settled or line.charged is None
            ),
            exemption=_exemption(draft),
        )
    except ValidationError as error:
        wrong = "; ".join(f"{name}: {problem}" for name, problem in problems_of(error).items())
        raise TaxRefused(
            "bad_tax_order",
            f"the tax engine {use.connection} cannot be asked with what is known of the account: {wrong}",
            "Correct the account's address or the catalog, then: masthead bill-run --parked --as-of DATE",
        ) from None


def tax_of(draft: Draft, order: TaxOrder, quote: TaxQuote, connection: str) -> EngineTax:
    """An engine's answer for a draft. Raises TaxRefused where it is not the answer to what was asked."""
    answered = {line.number: line for line in quote.lines}
    asked = {line.number: line for line in order.lines}
    if answered.keys() != asked.keys() or len(answered) != len(quote.lines):
        raise _misfit(connection, "it answers for other lines than it was asked about")
    if sum(line.amount for line in quote.lines) != quote.total:
        raise _misfit(connection, "the tax of its lines is not its total")
    waiting = [line for line in lines_to_tax(draft.lines) if line.charged is None]
    for line in order.lines:
        if line.charged is not None and answered[line.number].amount != line.charged:
            raise _misfit(connection, "it changes the tax of a line that has its tax already")
    exempt = order.exemption == _EXEMPT
    given = [tax for line in waiting for tax in _given(line, answered[line.number], connection, exempt)]
    return EngineTax(
        connection,
        TaxSource.ENGINE,
        quote.currency,
        quote.total,
        quote.tax_date,
        tuple(given),
        _request(order),
        sum(line.charged or 0 for line in lines_to_tax(draft.lines) if line.number not in asked),
    )


def fallback_tax(order: TaxOrder, given: Sequence[GivenTax], on: date, connection: str) -> EngineTax:
    """The built-in table's answer, to be recorded at the engine as it was charged once that is back."""
    taxes = {line.number: line.charged or 0 for line in order.lines}
    for tax in given:
        taxes[number_of(tax.place)] = taxes.get(number_of(tax.place), 0) + tax.amount
    return EngineTax(
        connection,
        TaxSource.FALLBACK,
        order.currency,
        sum(taxes.values()),
        on,
        tuple(given),
        charged_as(_request(order), taxes),
    )


def _request(order: TaxOrder) -> object:
    return method("tax.commit").request(order)


def _line(draft: Draft, line: LineToTax, use: TaxUse) -> TaxOrderLine:
    found = draft.lines[line.place]
    return TaxOrderLine(
        number=line.number,
        amount=line.amount,
        quantity=found.quantity,
        tax_code=use.codes.get(found.category, found.category) or None,
        item=found.part,
        inclusive=draft.payer.tax_policy.inclusive and line.charged is None,
        charged=line.charged,
    )


def _exemption(draft: Draft) -> str | None:
    treatment = draft.payer.tax_policy.treatment
    if draft.payer.tax_exempt or treatment is Treatment.EXEMPT:
        return _EXEMPT
    return _REVERSE_CHARGE if treatment is Treatment.REVERSE_CHARGE else None


def _given(line: LineToTax, answer: TaxedLine, connection: str, exempt: bool) -> list[GivenTax]:
    """The tax of a line by jurisdiction. Levies of one name, as a state's and a city's may be, are added up. Who is
    exempt sees no line of zero."""
    if not answer.parts:
        if not answer.amount:
            return []
        rate = (Decimal(answer.amount) / line.amount).copy_abs() if line.amount else Decimal(0)
        return [GivenTax(line.place, "tax", rate.quantize(_SHARE), answer.amount)]
    if sum(part.amount for part in answer.parts) != answer.amount:
        raise _misfit(connection, "the parts of a line's tax are not its tax")
    found: dict[str, GivenTax] = {}
    for part in answer.parts:
        before = found.get(part.jurisdiction, GivenTax(line.place, part.jurisdiction, Decimal(0), 0))
        found[part.jurisdiction] = before._replace(
            rate=before.rate + part.rate, amount=before.amount + part.amount
        )
    return [tax for tax in found.values() if tax.amount or not exempt]


def _misfit(connection: str, what: str) -> TaxRefused:
    return TaxRefused(
        "tax_misfit",
        f"the answer of {connection} does not fit the invoice: {what}",
        "Compare the engine's version with the connector's (masthead connectors check NAME), then: "
        "masthead bill-run --parked --as-of DATE",
    )
