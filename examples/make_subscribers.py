"""Makes examples/subscribers.csv: 500 invented subscribers, the same each time.

python examples/make_subscribers.py > examples/subscribers.csv
"""

from __future__ import annotations

import csv
import random
import sys
from datetime import date, timedelta

from domain.periods import Interval, Unit, first_anchor, period_at

ROWS = 500
AS_OF = date(2026, 12, 1)
COLUMNS = (
    "key", "name", "email", "country", "currency", "time_zone", "locale", "tax_region", "tax_exempt",
    "plan", "quantity", "started", "bill_day", "paid_through", "payment_method", "archive",
    "special_price", "discount_code", "discount_percent", "discount_amount", "discount_until",
)  # fmt: skip

# country, currency, time zone, locale, tax region
PLACES = (
    ("US", "USD", "America/New_York", "en-US", "US-NY"),
    ("US", "USD", "America/Los_Angeles", "en-US", "US-WA"),
    ("US", "USD", "Pacific/Honolulu", "en-US", "US-HI"),
    ("DE", "EUR", "Europe/Berlin", "de-DE", "DE"),
    ("FR", "EUR", "Europe/Paris", "fr-FR", "FR"),
    ("JP", "JPY", "Asia/Tokyo", "ja-JP", "JP"),
    ("NZ", "USD", "Pacific/Auckland", "en-NZ", "NZ"),
    ("GB", "EUR", "Europe/London", "en-GB", "GB"),
    ("CH", "EUR", "Europe/Zurich", "de-CH", ""),
)
MONTHLY = ("digital-monthly", "digital-student", "digital-intro", "digital-trial", "print-digital", "article-pass",
           "flex-monthly", "flex-one-year", "flex-two-year")  # fmt: skip
OTHERS = ("digital-yearly", "print-yearly", "print-weekend", "digital-team")
INTERVALS = {
    "digital-yearly": Interval(Unit.YEAR),
    "print-yearly": Interval(Unit.YEAR),
    "print-weekend": Interval(Unit.WEEK, 4),
    "digital-team": Interval(Unit.MONTH, 3),
}
SPECIAL_STARTS = (
    date(2024, 2, 29), date(2020, 2, 29), date(2026, 1, 31), date(2026, 3, 31), date(2025, 8, 31), date(2026, 8, 30),
    date(2026, 5, 30), date(2026, 1, 29), date(2026, 10, 29), date(2026, 10, 31), date(2026, 11, 30),
    date(2026, 11, 29), date(2026, 6, 15), date(2026, 9, 15), date(2026, 11, 15), date(2026, 11, 1),
)  # fmt: skip
DISCOUNTS = {"USD": "2.50", "EUR": "2.00", "JPY": "200"}
SPECIAL_PRICES = {"USD": "7.77", "EUR": "6.66", "JPY": "777"}


def main() -> None:
    """Write the file to standard output."""
    chance = random.Random(1911)  # noqa: S311 - a fixed seed is the point
    writer = csv.DictWriter(sys.stdout, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for no in range(1, ROWS + 1):
        writer.writerow(_row(no, chance))


def _paid_through(plan: str, started: date, bill_day: int | None, chance: random.Random) -> date | str:
    """The last day that the former system has billed. Most are paid to the end of their period, some were cut
    off on the day before the as-of date, and some of the newest were never billed."""
    charged_from = started + timedelta(days=14 if plan == "digital-trial" else 0)
    if charged_from >= AS_OF or (started > AS_OF - timedelta(days=45) and chance.random() < 0.5):
        return ""
    yesterday = AS_OF - timedelta(days=1)
    if chance.random() < 0.2:
        return yesterday
    interval = INTERVALS.get(plan, Interval(Unit.MONTH))
    anchor = first_anchor(charged_from, interval, bill_day)
    return period_at(anchor, interval, yesterday).end - timedelta(days=1)


def _row(no: int, chance: random.Random) -> dict[str, object]:
    country, currency, zone, locale, region = PLACES[no % len(PLACES)]
    plan = chance.choice(MONTHLY) if chance.random() < 0.8 else chance.choice(OTHERS)
    started = (
        chance.choice(SPECIAL_STARTS)
        if chance.random() < 0.4
        else AS_OF - timedelta(days=chance.randint(0, 1500))
    )
    row: dict[str, object] = {
        "key": f"HC-{no:04}",
        "name": f"Reader {no:04}",
        "email": f"reader{no:04}@example.com",
        "country": country,
        "currency": currency,
        "time_zone": zone,
        "locale": locale,
        "tax_region": "" if chance.random() < 0.05 else region,
        "tax_exempt": "yes" if chance.random() < 0.04 else "",
        "plan": plan,
        "quantity": chance.randint(2, 40) if plan == "digital-team" else 1,
        "started": started,
        "payment_method": f"tok_example_{no:04}",
    }
    bill_day = None
    if chance.random() < 0.2 and plan != "print-weekend":
        row["bill_day"] = bill_day = chance.choice((1, 5, 15, 28, 29, 30, 31))
    row["paid_through"] = _paid_through(plan, started, bill_day, chance)
    if plan in MONTHLY and chance.random() < 0.15:
        row["archive"] = "yes"
    if plan in ("digital-monthly", "flex-monthly", "flex-one-year") and chance.random() < 0.15:
        row["special_price"] = SPECIAL_PRICES[currency]
    if chance.random() < 0.2:
        row["discount_code"] = chance.choice(("WELCOME", "LOYAL", "HARBOR"))
        if chance.random() < 0.7:
            row["discount_percent"] = chance.choice((10, 20, 25, "12.5", 50, 100))
        else:
            row["discount_amount"] = DISCOUNTS[currency]
        if chance.random() < 0.5:
            row["discount_until"] = chance.choice(("2027-01-01", "2027-01-15", "2027-02-01", "2027-06-30"))
    return row


if __name__ == "__main__":
    main()
