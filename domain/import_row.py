"""One row of a publisher's file as an account with a subscription, or the reasons why it cannot be one.

This runs a million times in an import: the map is compiled to closures once, and answers that repeat (zones,
openings) are remembered within bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from domain.account_fields import email_address, locale_tag, time_zone
from domain.catalog import PlanVersion, Price
from domain.import_fields import (
    CARD_NUMBER,
    FieldCompiler,
    decimal,
    may_be_card_number,
    money,
    optional_date,
    required_date,
    required_text,
    short_text,
    truth,
    whole,
)
from domain.import_map import DiscountMap, ImportMap, ItemMap
from domain.import_record import ImportedDiscount, ImportedItem, ImportedRow
from domain.money import exponent
from domain.phase_prices import currencies_of
from domain.subscriptions import Opening, open_subscription

_QUANTITY_LIMIT = Decimal(10**9)
_REMEMBERED = 20_000


class RowRejected(ValueError):
    """A row that cannot be imported; `reasons` are plain sentences for the operator."""

    def __init__(self, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("; ".join(reasons))


@dataclass(frozen=True)
class Offer:
    """What an import needs of the catalog: plan versions in order, and the regions that the tax table
    knows."""

    plans: Mapping[str, tuple[PlanVersion, ...]]
    tax_regions: frozenset[str]


class RowReader:
    """Reads rows of a file with `header` by `import_map`, for the day `as_of`.

    The header must have every column of the map (`missing_columns`).
    """

    def __init__(self, import_map: ImportMap, header: Sequence[str], offer: Offer, as_of: date) -> None:
        self._as_of = as_of
        self._offer = offer
        self._width = len(header)
        fields = FieldCompiler(header, as_of)
        account, subscription = import_map.account, import_map.subscription
        self._key = fields.getter(account.key, "key", secret=True)
        self._subscription_key = fields.optional(subscription.key, "subscription key", secret=True)
        self._name = fields.optional(account.name, "name", secret=True)
        self._email = fields.optional(account.email, "email", secret=True)
        self._currency = fields.getter(account.currency, "currency")
        self._zone = fields.getter(account.time_zone, "time_zone")
        self._locale = fields.optional(account.locale, "locale")
        self._bill_day = fields.optional(account.bill_cycle_day, "bill_cycle_day")
        self._tax_region = fields.optional(account.tax_region, "tax_region")
        self._tax_exempt = fields.optional(account.tax_exempt, "tax_exempt")
        self._payment_method = fields.optional(account.payment_method, "payment_method", secret=True)
        self._terms_days = fields.optional(account.payment_terms_days, "payment_terms_days")
        self._address = fields.address_parts(account.address)
        self._start = fields.getter(subscription.start, "start")
        self._charged = fields.optional(subscription.charged_through, "charged_through")
        self._end = fields.optional(subscription.end, "end")
        self._items = [_Item(self, fields, item) for item in import_map.items]
        self._discounts = [_Discount(fields, discount) for discount in import_map.discounts]
        self._currencies = {
            named
            for versions in offer.plans.values()
            for version in versions
            for price in _prices(version)
            for named in currencies_of(price, ())
        }
        self._zones: dict[str, ZoneInfo] = {}
        self._openings: dict[tuple[Any, ...], Opening] = {}
        self._sold: dict[tuple[str, int | None, str | None, date | None], PlanVersion] = {}

    def read(self, cells: Sequence[str]) -> ImportedRow:
        """The row as what it means. Raises RowRejected with every reason found."""
        if len(cells) != self._width:
            raise RowRejected(
                [f"has {len(cells)} cells where the header has {self._width}; check its quotes"]
            )
        cells = [cell.strip() for cell in cells]
        wrong: list[str] = []

        def take(read: Callable[..., Any], *arguments: Any) -> Any:
            try:
                return read(*arguments)
            except (ValueError, KeyError) as error:
                wrong.append(str(error))
                return None

        key = take(required_text, "account.key", self._key, cells)
        subscription_key = take(short_text, "subscription.key", self._subscription_key, cells) or key
        currency = take(self._read_currency, cells)
        zone = take(self._read_zone, cells)
        bill_day = take(whole, "bill_cycle_day", self._bill_day, cells, 1, 31)
        start = take(required_date, "start", self._start, cells)
        charged = take(optional_date, "charged_through", self._charged, cells)
        end = take(optional_date, "end", self._end, cells)
        items = [
            found for item in self._items if (found := take(item.read, cells, currency, start)) is not None
        ]
        discounts = [
            found
            for rule in self._discounts
            if (found := take(rule.read, cells, currency, start)) is not None
        ]
        for what, names in (
            ("discount: the code", [discount.code for discount in discounts]),
            ("items: the plan", [item.plan for item, _version in items]),
        ):
            twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
            if twice is not None:
                wrong.append(
                    f"{what} {twice!r} stands twice on this subscription; name it once, with a quantity if need be"
                )
        name = take(short_text, "name", self._name, cells)
        email = take(self._read_email, cells)
        locale = take(self._read_locale, cells)
        tax_region = take(self._read_tax_region, cells)
        tax_exempt = take(truth, "tax_exempt", self._tax_exempt, cells)
        payment_method = take(self._read_payment_method, cells)
        terms_days = take(whole, "payment_terms_days", self._terms_days, cells, 0, 365)
        address = take(self._read_address, cells)
        opening = None
        if not wrong:
            if not items:
                wrong.append(
                    "no item applies to this row; give the map's items a condition that some row meets"
                )
            else:
                opening = take(self._open, items, start, charged, bill_day, end, zone)
        if wrong or opening is None:
            raise RowRejected(wrong)
        return ImportedRow(
            key,
            subscription_key,
            name,
            email,
            address,
            currency,
            zone.key,
            locale,
            bill_day,
            tax_region,
            bool(tax_exempt),
            payment_method,
            terms_days or 0,
            opening,
            tuple(item for item, _version in items),
            tuple(discounts),
        )

    def _open(
        self,
        items: list[tuple[ImportedItem, PlanVersion]],
        start: date,
        charged: date | None,
        bill_day: int | None,
        end: date | None,
        zone: ZoneInfo,
    ) -> Opening:
        main, version = items[0]
        for item, other in items[1:]:
            if other.interval.interval() != version.interval.interval():
                raise ValueError(
                    f"plan {item.plan} is billed every {_every(other)} and {main.plan} every {_every(version)}; "
                    "plans of one subscription are billed together"
                )
        plans = tuple((item.plan, item.version) for item, _version in items)
        known = (plans, start, charged, bill_day, end, zone.key)
        found = self._openings.get(known)
        if found is None:
            found = open_subscription(
                version,
                starts_on=start,
                as_of=self._as_of,
                charged_through=charged,
                bill_cycle_day=bill_day,
                ends_on=end,
                zone=zone,
                add_ons=tuple(other for _item, other in items[1:]),
            )
            if len(self._openings) >= _REMEMBERED:
                self._openings.clear()
            self._openings[known] = found
        return found

    def sold(self, plan: str, pinned: int | None, currency: str | None, start: date | None) -> PlanVersion:
        """The version of `plan` for a row. Raises ValueError when it was not sold then, or not in the
        currency."""
        key = (plan, pinned, currency, start)
        version = self._sold.get(key)
        if version is None:
            if len(self._sold) >= _REMEMBERED:
                self._sold.clear()
            version = self._sold[key] = self._find_sold(plan, pinned, currency, start)
        return version

    def _find_sold(
        self, plan: str, pinned: int | None, currency: str | None, start: date | None
    ) -> PlanVersion:
        versions = self._offer.plans.get(plan)
        if versions is None:
            raise ValueError(f"the catalog has no plan {plan!r}; correct it, or add the plan to the catalog")
        if pinned is not None:
            version = next((v for v in versions if v.version == pinned), None)
            if version is None:
                raise ValueError(f"plan {plan} has no version {pinned}")
        else:
            day = start or self._as_of
            version = max(
                (v for v in versions if v.effective <= day), key=lambda v: v.effective, default=None
            )
            if version is None:
                first = min(v.effective for v in versions)
                raise ValueError(
                    f"plan {plan} was not sold on {day}: its first version is effective on {first}; "
                    "add an older version to the catalog, or name a version in the map"
                )
        if currency is not None and not self._charged_in(version, currency):
            raise ValueError(
                f"plan {plan} version {version.version} has no price in {currency}; "
                "correct the currency, or add the price in a new version of the plan"
            )
        return version

    def _charged_in(self, version: PlanVersion, currency: str) -> bool:
        """Whether every price of `version` can be charged in `currency`. A percentage without amounts is in every
        currency that the catalog's prices name; where they name none, the price book has to tell."""
        catalog = self._currencies or {currency}
        return all(currency in currencies_of(price, catalog) for price in _prices(version))

    def _read_currency(self, cells: Sequence[str]) -> str:
        code = required_text("currency", self._currency, cells)
        exponent(code)
        return code

    def _read_zone(self, cells: Sequence[str]) -> ZoneInfo:
        name = required_text("time_zone", self._zone, cells)
        zone = self._zones.get(name)
        if zone is None:
            zone = self._zones[name] = time_zone(name)
        return zone

    def _read_email(self, cells: Sequence[str]) -> str | None:
        email = short_text("email", self._email, cells)
        return None if email is None else email_address(email)

    def _read_locale(self, cells: Sequence[str]) -> str:
        text = short_text("locale", self._locale, cells)
        return "en" if text is None else locale_tag(text)

    def _read_tax_region(self, cells: Sequence[str]) -> str | None:
        region = short_text("tax_region", self._tax_region, cells)
        if region is not None and region not in self._offer.tax_regions:
            raise ValueError(
                f"tax_region: the catalog's tax table has no region {region!r}; add its rates (0 where none is due), "
                "or leave it empty for accounts that are not taxed"
            )
        return region

    def _read_payment_method(self, cells: Sequence[str]) -> str | None:
        method = short_text("payment_method", self._payment_method, cells)
        if method is not None and may_be_card_number(method):
            raise ValueError(
                f"payment_method: holds what {CARD_NUMBER}, which may not be kept; give the gateway's token"
            )
        return method

    def _read_address(self, cells: Sequence[str]) -> dict[str, str]:
        address = {}
        for part, getter in self._address:
            text = short_text(f"address.{part}", getter, cells)
            if text is not None:
                address[part] = text
        return address


class _Item:
    """An item of the map, compiled."""

    def __init__(self, reader: RowReader, fields: FieldCompiler, item: ItemMap) -> None:
        self._reader = reader
        self._applies = fields.condition(item.when)
        self._plan = fields.optional(item.plan, "plan")
        self._version = fields.optional(item.version, "version")
        self._quantity = fields.optional(item.quantity, "quantity")
        self._override = fields.optional(item.price_override, "price_override")

    def read(
        self, cells: Sequence[str], currency: str | None, start: date | None
    ) -> tuple[ImportedItem, PlanVersion] | None:
        if not self._applies(cells):
            return None
        plan = required_text("plan", self._plan, cells)
        version = self._reader.sold(plan, whole("version", self._version, cells, 1, 10**6), currency, start)
        quantity = decimal("quantity", self._quantity, cells)
        if quantity is not None and not 0 <= quantity <= _QUANTITY_LIMIT:
            raise ValueError(f"quantity: {quantity} is not between 0 and {_QUANTITY_LIMIT}")
        override = money("price_override", self._override, cells, currency)
        return ImportedItem(
            plan, version.version, "1" if quantity is None else f"{quantity:f}", override
        ), version


class _Discount:
    """A discount of the map, compiled."""

    def __init__(self, fields: FieldCompiler, discount: DiscountMap) -> None:
        self._applies = fields.condition(discount.when)
        self._code = fields.optional(discount.code, "discount code")
        self._percent = fields.optional(discount.percent, "discount percent")
        self._amount = fields.optional(discount.amount, "discount amount")
        self._start = fields.optional(discount.start, "discount start")
        self._until = fields.optional(discount.until, "discount until")

    def read(self, cells: Sequence[str], currency: str | None, start: date | None) -> ImportedDiscount | None:
        if not self._applies(cells):
            return None
        percent = decimal("discount percent", self._percent, cells)
        amount = money("discount amount", self._amount, cells, currency)
        if percent is None and amount is None:
            return None
        if percent is not None and amount is not None:
            raise ValueError("discount: has both a percent and an amount; leave one empty")
        if percent is not None and not 0 < percent <= 100:
            raise ValueError(f"discount percent: {percent} is not above 0 and at most 100")
        if amount == 0:
            raise ValueError("discount amount: must be above 0; leave it empty for no discount")
        code = required_text("discount code", self._code, cells)
        starts_on = optional_date("discount start", self._start, cells) or start
        ends_on = optional_date("discount until", self._until, cells)
        if starts_on is None:
            return None  # the start date's own reason rejects the row
        if ends_on is not None and ends_on <= starts_on:
            raise ValueError(f"discount: its end {ends_on} is not after its start {starts_on}")
        return ImportedDiscount(code, None if percent is None else f"{percent:f}", amount, starts_on, ends_on)


def _every(version: PlanVersion) -> str:
    return f"{version.interval.count} {version.interval.unit.value.replace('_', '-')}(s)"


def _prices(version: PlanVersion) -> Iterator[Price]:
    return (price for phase in version.phases for price in phase.prices)
