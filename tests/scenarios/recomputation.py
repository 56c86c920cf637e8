"""What examples/subscribers.csv has to be billed, recomputed from the billing laws alone.

Nothing here comes from domain, operations or storage: the catalog and the rows are read as plain data, and every
rule is written a second time, the slow and obvious way (a walk over days instead of arithmetic on months, exact
fractions instead of integer ratios), so that one mistake is not made twice in the same manner.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ruamel.yaml import YAML

PLACES = {"USD": 2, "EUR": 2, "JPY": 0}
DAY = timedelta(days=1)

Yaml = dict[str, Any]


@dataclass(frozen=True, order=True)
class Expected:
    """A line: `what` names the charge (plan, version, phase, price, part), and for a discount or tax line the charge
    it belongs to; `reference` is the coupon or jurisdiction. Amounts in minor units, periods end-exclusive."""

    kind: str
    what: str
    start: str
    end: str
    reference: str
    rate: Fraction | None
    quantity: Fraction
    amount: int

    def __str__(self) -> str:
        span = f" {self.start}..{self.end}" if self.start else ""
        return f"{self.kind} {self.what}{span} {self.reference} x{self.quantity} = {self.amount}"


@dataclass
class ExpectedInvoice:
    """An invoice by the account's external key and its day."""

    key: str
    day: date
    currency: str
    lines: list[Expected] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(line.amount for line in self.lines)


@dataclass(frozen=True)
class Reading:
    """Articles read at an instant, as reported before the bill run of `known_on`."""

    key: str
    at: datetime
    quantity: Fraction
    known_on: date


def half_away(value: Fraction) -> int:
    """To the nearest whole number, halves away from zero."""
    whole = int(abs(value))
    if abs(value) - whole >= Fraction(1, 2):
        whole += 1
    return whole if value > 0 else -whole


def share_out(total: int, weights: Sequence[Fraction]) -> list[int]:
    """`total` in proportion to `weights`: whole parts first, what is left one by one to the largest remainders."""
    exact = [Fraction(total) * weight / sum(weights) for weight in weights]
    parts = [int(share) for share in exact]
    while sum(parts) < total:
        neediest = max(range(len(parts)), key=lambda place: (exact[place] - parts[place], -place))
        parts[neediest] += 1
    return parts


def last_of_month(year: int, month: int) -> int:
    following = date(year + month // 12, month % 12 + 1, 1)
    return (following - DAY).day


def is_boundary(day: date, anchor: date, wanted: int, unit: str, count: int) -> bool:
    """Whether a period starts on `day` (law 2): judged for each day by itself, so that nothing can drift."""
    if unit in ("day", "week"):
        return (day - anchor).days % (count * {"day": 1, "week": 7}[unit]) == 0
    if day.day != min(wanted, last_of_month(day.year, day.month)):
        return False
    months = (day.year - anchor.year) * 12 + day.month - anchor.month
    return months % (count * {"month": 1, "year": 12}[unit]) == 0


class Sold:
    """A plan version of the catalog, as its YAML says."""

    def __init__(self, plan: Yaml, version: Yaml) -> None:
        self.plan = plan["code"]
        self.product = plan["product"]
        self.version = version
        self.unit = version["interval"]["unit"]
        self.count = int(version["interval"].get("count", 1))
        phases = version["phases"]
        self.trial_days = sum(int(phase["days"]) for phase in phases if phase["kind"] == "trial")
        self.phases = [phase for phase in phases if phase["kind"] != "trial"]

    def phase(self, periods_gone: int) -> Yaml:
        """The phase after `periods_gone` whole periods since the anchor; a stub belongs to the first."""
        for phase in self.phases:
            length = phase.get("periods")
            if length is None or periods_gone < int(length):
                return phase
            periods_gone -= int(length)
        raise AssertionError(f"{self.plan} has no evergreen phase")

    def charge(self, phase: Yaml, price: Yaml, product: str) -> str:
        return f"{self.plan}/{self.version['version']}/{phase['kind']}/{price['code']}/{product}"


class PublishedCatalog:
    """examples/catalog.yaml, read by hand."""

    def __init__(self, file: Path) -> None:
        loader = YAML(typ="rt")  # keeps 12.00 as it is written, which a float would not
        self._content: Yaml = loader.load(file.read_text(encoding="utf-8"))
        self._plans = {plan["code"]: plan for plan in self._content["plans"]}
        self._category = {entry["code"]: entry["tax_category"] for entry in self._content["products"]}

    def sold_on(self, plan: str, day: date) -> Sold:
        """The version that a subscriber who starts on `day` gets: the newest that is in force."""
        in_force = [each for each in self._plans[plan]["versions"] if each["effective"] <= day]
        return Sold(self._plans[plan], max(in_force, key=lambda each: each["effective"]))

    def renewed(self, sold: Sold, renewed_on: date) -> Sold:
        """What `sold` has become by a renewal: a newer version reaches the reader if it applies to renewals."""
        newer = [
            each
            for each in self._plans[sold.plan]["versions"]
            if each["version"] > sold.version["version"]
            and each.get("applies_to", "new") == "renewal"
            and each["effective"] <= renewed_on
        ]
        return Sold(self._plans[sold.plan], max(newer, key=lambda each: each["version"])) if newer else sold

    def taxes(self, region: str, product: str, day: date) -> list[tuple[str, Fraction]]:
        """(jurisdiction, rate) in force on `day` for what `product` is."""
        newest: dict[str, tuple[date, Fraction]] = {}
        for entry in self._content["tax_rates"]:
            if (entry["region"], entry["category"]) != (region, self._category[product]):
                continue
            since = entry["effective"]
            if since <= day and since >= newest.get(entry["jurisdiction"], (date.min, Fraction(0)))[0]:
                newest[entry["jurisdiction"]] = (since, Fraction(str(entry["rate"])))
        return [(jurisdiction, rate) for jurisdiction, (_, rate) in newest.items()]


def minor(text: object, currency: str) -> Fraction:
    """Major units as written, in minor units."""
    return Fraction(str(text)) * 10 ** PLACES[currency]


class Reader:
    """A row of the file: what it says, and how far it is billed."""

    def __init__(self, row: dict[str, str], catalog: PublishedCatalog) -> None:
        self.key = row["key"]
        self.currency = row["currency"].upper()
        self.zone = ZoneInfo(row["time_zone"])
        self.region = "" if row["tax_exempt"] == "yes" else row["tax_region"]
        self.started = date.fromisoformat(row["started"])
        self.quantity = Fraction(row["quantity"] or "1")
        self.special = minor(row["special_price"], self.currency) if row["special_price"] else None
        plans = [row["plan"]] + (["magazine-archive"] if row["archive"] in ("yes", "y") else [])
        self.plans = [catalog.sold_on(plan, self.started) for plan in plans]
        self.discount_code = row["discount_code"]
        self.discount_percent = Fraction(row["discount_percent"]) if row["discount_percent"] else None
        self.discount_amount = (
            int(minor(row["discount_amount"], self.currency)) if row["discount_amount"] else None
        )
        self.discount_until = date.fromisoformat(row["discount_until"]) if row["discount_until"] else date.max
        main = self.plans[0]
        self.unit, self.count = main.unit, main.count
        self.charged_from = self.started + self.trial
        # The first boundary: the start of charging, or the first bill cycle day from there on.
        self.anchor, self.wanted = self.charged_from, self.charged_from.day
        if row["bill_day"] and self.unit in ("month", "year"):
            self.wanted = int(row["bill_day"])
            while self.anchor.day != min(self.wanted, last_of_month(self.anchor.year, self.anchor.month)):
                self.anchor += DAY
        # The file gives the last day that is paid.
        self.next_day = (
            date.fromisoformat(row["paid_through"]) + DAY if row["paid_through"] else self.charged_from
        )
        self.usage_from = self.next_day
        self.read: list[Reading] = []

    @property
    def trial(self) -> timedelta:
        return timedelta(days=self.plans[0].trial_days)

    def period(self, day: date) -> tuple[date, date]:
        """The whole period that holds `day`, found by walking (law 3: what a part is measured against)."""
        start = day
        while not self.is_boundary(start):
            start -= DAY
        end = day + DAY
        while not self.is_boundary(end):
            end += DAY
        return start, end

    def is_boundary(self, day: date) -> bool:
        return is_boundary(day, self.anchor, self.wanted, self.unit, self.count)

    def periods_gone(self, day: date) -> int:
        """Whole periods between the anchor and the period that starts on `day`; a stub before it is none."""
        gone = 0
        walk = self.anchor
        while walk < day:
            walk += DAY
            gone += self.is_boundary(walk)
        return gone


@dataclass
class Charge:
    """A line before discount and tax."""

    kind: str
    what: str
    product: str
    start: date
    end: date
    quantity: Fraction
    amount: int


def first_and_rest(amount: int, parts: Iterable[Yaml]) -> list[tuple[str, int]]:
    """A bundle's price over its parts, without losing a unit."""
    listed = list(parts)
    shares = share_out(amount, [Fraction(int(part["weight"])) for part in listed])
    return [(part["product"], share) for part, share in zip(listed, shares, strict=True)]


def recurring(catalog: PublishedCatalog, reader: Reader, start: date, end: date) -> Iterator[Charge]:
    """What is owed in advance for `start` until `end`, within one period."""
    period_start, period_end = reader.period(start)
    part = Fraction((end - start).days, (period_end - period_start).days)
    gone = reader.periods_gone(period_start) if period_start >= reader.anchor else 0
    for place, pinned in enumerate(reader.plans):
        sold = pinned if gone == 0 else catalog.renewed(pinned, period_start)
        phase = sold.phase(gone)
        override = reader.special if place == 0 else None
        quantity = reader.quantity if place == 0 else Fraction(1)
        for price in phase["prices"]:
            if price["type"] != "recurring":
                continue
            unit = (
                override
                if override is not None
                else minor(price["amounts"][reader.currency], reader.currency)
            )
            override = None
            whole = unit * quantity if price.get("model", "flat") == "per_unit" else unit
            amount = half_away(whole * part)
            parts = price.get("parts") or [{"product": sold.product, "weight": 1}]
            for product, share in first_and_rest(amount, parts):
                what = sold.charge(phase, price, product)
                yield Charge("recurring", what, product, start, end, quantity, share)


def graduated(tiers: Sequence[Yaml], currency: str, quantity: Fraction) -> Fraction:
    """Each unit at its own tier's price; a tier's bound is the last unit in it (law 8)."""
    total = Fraction(0)
    below = Fraction(0)
    for tier in tiers:
        bound = Fraction(str(tier["up_to"])) if "up_to" in tier else quantity
        inside = max(min(quantity, bound) - below, Fraction(0))
        total += inside * minor(tier["unit_amounts"][currency], currency)
        below = bound
    return total


def used(
    catalog: PublishedCatalog, reader: Reader, start: date, end: date, run_day: date
) -> Iterator[Charge]:
    """What was used from `start` until `end`, and what came late for the time before (law 8). A reading on the
    boundary opens the new period; one that was reported after a run waits for the next."""
    until = datetime(end.year, end.month, end.day, tzinfo=reader.zone)
    counted = [each for each in reader.read if each.at < until and each.known_on <= run_day]
    reader.read = [each for each in reader.read if each not in counted]
    quantity = sum((each.quantity for each in counted), Fraction(0))
    if not quantity:
        return
    period_start, _ = reader.period(start)
    gone = reader.periods_gone(period_start) if period_start >= reader.anchor else 0
    for pinned in reader.plans:
        sold = pinned if gone == 0 else catalog.renewed(pinned, period_start)
        phase = sold.phase(gone)
        for price in phase["prices"]:
            if price["type"] != "usage":
                continue
            billable = max(quantity - int(price.get("allowance", 0)), Fraction(0))
            amount = half_away(graduated(price["tiers"], reader.currency, billable))
            what = sold.charge(phase, price, sold.product)
            yield Charge("usage", what, sold.product, start, end, quantity, amount)


def discounts(reader: Reader, charges: Sequence[Charge], day: date) -> list[int]:
    """What the reader's discount takes off each charge; never more than there is."""
    if not reader.started <= day < reader.discount_until:
        return [0] * len(charges)
    if reader.discount_percent is not None:
        return [half_away(charge.amount * reader.discount_percent / 100) for charge in charges]
    if reader.discount_amount is not None:
        whole = sum(charge.amount for charge in charges)
        if whole:
            return share_out(min(reader.discount_amount, whole), [Fraction(c.amount) for c in charges])
    return [0] * len(charges)


def bill(catalog: PublishedCatalog, reader: Reader, run_day: date) -> ExpectedInvoice | None:
    """The invoice of `run_day`: every period that has begun by then, or None when nothing is due."""
    invoice = ExpectedInvoice(reader.key, run_day, reader.currency)
    due = False
    while reader.next_day <= run_day:
        due = True
        start = reader.next_day
        _, end = reader.period(start)
        charges: list[Charge] = []
        if reader.usage_from < start:
            charges += used(catalog, reader, reader.usage_from, start, run_day)
        charges += recurring(catalog, reader, start, end)
        cuts = discounts(reader, charges, start)
        for charge, cut in zip(charges, cuts, strict=True):
            invoice.lines += document(catalog, reader, charge, cut, run_day)
        reader.usage_from = start
        reader.next_day = end
    return invoice if due else None


def document(
    catalog: PublishedCatalog, reader: Reader, charge: Charge, cut: int, day: date
) -> Iterator[Expected]:
    """The lines of a charge: itself, its discount, and tax on what is left, per jurisdiction (law 7)."""
    start, end = charge.start.isoformat(), charge.end.isoformat()
    yield Expected(charge.kind, charge.what, start, end, "", None, charge.quantity, charge.amount)
    about = f"{charge.kind} {charge.what} {start}..{end}"
    if cut:
        yield Expected(
            "discount", about, "", "", reader.discount_code, reader.discount_percent, Fraction(1), -cut
        )
    if reader.region:
        for jurisdiction, rate in catalog.taxes(reader.region, charge.product, day):
            tax = half_away((charge.amount - cut) * rate)
            yield Expected("tax", about, "", "", jurisdiction, rate, Fraction(1), tax)


class Recomputation:
    """All readers of the file, billed run by run."""

    def __init__(self, catalog: Path, subscribers: Path) -> None:
        self.catalog = PublishedCatalog(catalog)
        with subscribers.open(encoding="utf-8", newline="") as source:
            self.readers = {row["key"]: Reader(row, self.catalog) for row in csv.DictReader(source)}

    def report(self, readings: Iterable[Reading]) -> None:
        """Usage becomes known."""
        for reading in readings:
            self.readers[reading.key].read.append(reading)

    def run(self, day: date) -> dict[str, ExpectedInvoice]:
        """The invoices of a run as of `day`, by the account's key."""
        found = (bill(self.catalog, reader, day) for reader in self.readers.values())
        return {invoice.key: invoice for invoice in found if invoice is not None and invoice.lines}


def totals(invoices: Iterable[ExpectedInvoice]) -> dict[str, int]:
    """Minor units by currency."""
    found: dict[str, int] = defaultdict(int)
    for invoice in invoices:
        found[invoice.currency] += invoice.total
    return dict(found)
