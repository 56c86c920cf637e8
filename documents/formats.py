"""Money, numbers, days and periods as readers of a locale write them."""

from __future__ import annotations

import copy
from datetime import date, timedelta
from decimal import Decimal

from babel import Locale
from babel.dates import format_date, format_interval
from babel.numbers import format_currency, format_decimal, format_percent, get_currency_precision

from domain.money import exponent, to_major


class Formats:
    """Formats of one locale. All amounts are minor units, and are shown with all decimals that the currency has."""

    def __init__(self, locale: Locale) -> None:
        self.locale = locale

    def money(self, minor: int, currency: str) -> str:
        """1.234,50 € for 123450 in German. Raises MoneyError for a currency that ISO 4217 lacks."""
        places, value = exponent(currency), to_major(minor, currency)
        if get_currency_precision(currency) == places:
            return format_currency(value, currency, locale=self.locale)
        # CLDR shows some currencies without the decimals that ISO 4217 gives them, and that are billed.
        pattern = copy.copy(self.locale.currency_formats["standard"])
        pattern.frac_prec = (places, places)
        return str(pattern.apply(value, self.locale, currency=currency, currency_digits=False))

    def number(self, value: Decimal) -> str:
        """A quantity, without trailing zeros."""
        return format_decimal(value, "#,##0.##########", locale=self.locale)

    def percent(self, fraction: Decimal) -> str:
        """4.875% for 0.04875."""
        return format_percent(fraction, self._percent, locale=self.locale)

    @property
    def _percent(self) -> str:
        own: str = self.locale.percent_formats[None].pattern
        return own.replace("#,##0", "#,##0.####")

    def day(self, day: date) -> str:
        """A day, with the month in figures or short."""
        return format_date(day, "medium", locale=self.locale)

    def long_day(self, day: date) -> str:
        """A day as in a sentence."""
        return format_date(day, "long", locale=self.locale)

    def period(self, first: date, end: date) -> str:
        """From `first` to the day before `end`; one day alone."""
        last = end - timedelta(days=1)
        return self.day(first) if last <= first else format_interval(first, last, "yMMMd", locale=self.locale)

    def country(self, code: str) -> str:
        """A country's name, its code where there is none."""
        return str(self.locale.territories.get(code.upper(), code))
