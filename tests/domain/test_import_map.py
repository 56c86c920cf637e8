"""What an import map may say, and how a row becomes a record or the reasons against it."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pytest

from domain.catalog import Catalog
from domain.import_map import ImportMap, missing_columns, unknown_plans
from domain.import_record import ImportedRow
from domain.import_row import Offer, RowReader, RowRejected
from runtime.catalog_source import read_catalog_file
from runtime.yaml_source import DocumentError, load_document

EXAMPLES = Path(__file__).parents[2] / "examples"
AS_OF = date(2026, 12, 1)
CATALOG: Catalog = read_catalog_file(EXAMPLES / "catalog.yaml").catalog
OFFER = Offer({p.code: p.versions for p in CATALOG.plans}, frozenset(r.region for r in CATALOG.tax_rates))

SOUND = """\
format: masthead.import-map/1
account:
  key: {column: id}
  currency: {value: USD}
  time_zone: {value: Europe/Berlin}
subscription:
  start: {column: since, function: {date: "%d.%m.%Y"}}
items:
  - plan: {value: digital-monthly}
"""
SUBSCRIBERS = load_document(EXAMPLES / "subscribers.map.yaml", ImportMap)
HEADER = tuple(next(csv.reader((EXAMPLES / "subscribers.csv").open())))
GOOD = {
    "key": "A-1",
    "name": "Reader",
    "email": "Reader@Example.com",
    "currency": "usd",
    "time_zone": "Asia/Tokyo",
    "plan": "digital-monthly",
    "started": "2026-01-31",
    "paid_through": "2026-11-29",
}


def read(**cells: str) -> ImportedRow:
    row = {**GOOD, **cells}
    return RowReader(SUBSCRIBERS, HEADER, OFFER, AS_OF).read([row.get(name, "") for name in HEADER])


def load(tmp_path: Path, text: str) -> ImportMap:
    file = tmp_path / "map.yaml"
    file.write_text(text)
    return load_document(file, ImportMap)


def test_a_row_becomes_an_account_with_a_subscription() -> None:
    row = read(
        discount_code="HARBOR", discount_percent="12.5", special_price="7.77", country="JP", archive="yes"
    )
    assert (row.account_key, row.subscription_key, row.currency, row.email) == (
        "A-1",
        "A-1",
        "USD",
        "reader@example.com",
    )
    assert (row.opening.anchor_on, row.opening.anchor_day) == (date(2026, 1, 31), 31)
    assert row.opening.charged_through == row.opening.next_bill_on == date(2026, 11, 30)
    assert [(item.plan, item.version, item.quantity, item.price_override) for item in row.items] == [
        ("digital-monthly", 1, "1", 777),
        ("magazine-archive", 1, "1", None),
    ]
    assert [(d.code, d.percent, d.amount, d.starts_on, d.ends_on) for d in row.discounts] == [
        ("HARBOR", "12.5", None, date(2026, 1, 31), None)
    ]
    assert (row.address, row.locale, row.tax_region, row.tax_exempt) == ({"country": "JP"}, "en", None, False)


def test_the_version_is_the_one_sold_on_the_start_date() -> None:
    assert read(plan="digital-yearly", started="2025-12-31").items[0].version == 1
    assert read(plan="digital-yearly", started="2026-01-01").items[0].version == 2


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"key": " "}, "account.key: is empty"),
        ({"key": "a\nb"}, "account.key: holds a line break"),
        ({"key": "x" * 501}, "longer than 500"),
        ({"currency": "EURO"}, "'EURO' is not an ISO 4217 currency code"),
        ({"currency": "GBP"}, "plan digital-monthly version 1 has no price in GBP"),
        ({"time_zone": "Mars/Olympus"}, "'Mars/Olympus' is not a time zone"),
        ({"time_zone": "../../etc/passwd"}, "is not a time zone"),
        ({"time_zone": ""}, "time_zone: is empty"),
        ({"plan": "gold"}, "the catalog has no plan 'gold'"),
        ({"plan": "harbor-lights-ebook", "paid_through": ""}, "bought, not subscribed to"),
        ({"started": "2026-12-02"}, "the start date 2026-12-02 lies after the as-of date 2026-12-01"),
        ({"started": "2026-02-30"}, "start: '2026-02-30' is not a date like 2026-12-01"),
        ({"started": ""}, "start: is empty"),
        (
            {"started": "1999-01-01"},
            "was not sold on 1999-01-01: its first version is effective on 2015-01-01",
        ),
        ({"paid_through": "2025-01-01"}, "before charging began"),
        ({"bill_day": "32"}, "'32' is not a whole number from 1 to 31"),
        ({"bill_day": "-1"}, "'-1' is not a whole number from 1 to 31"),
        ({"quantity": "many"}, "'many' is not a number"),
        ({"quantity": "NaN"}, "'NaN' is not a number"),
        ({"quantity": "1e99"}, "is not a number"),
        ({"quantity": "-2"}, "quantity: -2 is not between"),
        ({"special_price": "7.777"}, "more decimal places than USD has"),
        ({"special_price": "-1"}, "below zero or too large"),
        ({"special_price": "99999999999999"}, "below zero or too large"),
        ({"email": "nobody"}, "email: is not an address"),
        ({"locale": "English!"}, "is not a locale"),
        ({"tax_region": "XX"}, "the catalog's tax table has no region 'XX'"),
        ({"tax_exempt": "maybe"}, "'maybe' is neither yes nor no"),
        ({"payment_method": "4111 1111 1111 1111"}, "looks like a card number"),
        ({"plan": "magazine-archive", "archive": "yes"}, "'magazine-archive' stands twice"),
        ({"discount_percent": "120", "discount_code": "X"}, "120 is not above 0 and at most 100"),
        ({"discount_percent": "10"}, "discount code: is empty"),
        (
            {"discount_percent": "10", "discount_amount": "1", "discount_code": "X"},
            "both a percent and an amount",
        ),
        ({"discount_amount": "0", "discount_code": "X"}, "must be above 0"),
        (
            {"discount_amount": "1", "discount_code": "X", "discount_until": "2020-01-01"},
            "is not after its start",
        ),
        ({"plan": "digital-yearly", "archive": "yes"}, "plans of one subscription are billed together"),
    ],
)
def test_a_row_that_cannot_be_imported_says_why(cells: dict[str, str], words: str) -> None:
    with pytest.raises(RowRejected) as caught:
        read(**cells)
    assert words in str(caught.value)


def test_all_reasons_of_a_row_come_at_once_and_none_shows_what_is_private() -> None:
    with pytest.raises(RowRejected) as caught:
        read(currency="XXX", plan="gold", email="secret reader", payment_method="4111111111111111")
    assert len(caught.value.reasons) == 4
    assert "secret" not in str(caught.value)
    assert "4111" not in str(caught.value)


def test_a_row_of_another_width_is_rejected() -> None:
    with pytest.raises(RowRejected, match="has 3 cells where the header has 21"):
        RowReader(SUBSCRIBERS, HEADER, OFFER, AS_OF).read(["a", "b", "c"])


@pytest.mark.parametrize(
    ("field", "cell", "answer"),
    [
        ('{column: since, function: {date: "%d.%m.%Y"}}', "31.01.2026", date(2026, 1, 31)),
        ("{column: since, function: months_before_as_of}", "13", date(2025, 11, 1)),
        ("{column: since, function: days_before_as_of}", "1", date(2026, 11, 30)),
        ("{column: since, function: {lookup: {old: 2019-05-06, '*': 2020-01-01}}}", "old", date(2019, 5, 6)),
        ("{column: since, function: {lookup: {old: 2019-05-06, '*': 2020-01-01}}}", "?", date(2020, 1, 1)),
        ("{column: since, default: 2021-02-03}", "", date(2021, 2, 3)),
        ("{column: since, function: [strip, {plus_days: -1}]}", " 2026-11-02 ", date(2026, 11, 1)),
        ("{function: as_of}", "whatever", AS_OF),
        ("{function: [as_of, {plus_days: -3}]}", "", date(2026, 11, 28)),
    ],
)
def test_functions_read_what_publishers_write(tmp_path: Path, field: str, cell: str, answer: date) -> None:
    text = SOUND.replace('{column: since, function: {date: "%d.%m.%Y"}}', field)
    row = RowReader(load(tmp_path, text), ("id", "since"), OFFER, AS_OF).read(["1", cell])
    assert row.opening.starts_on == answer


@pytest.mark.parametrize(
    ("function", "cell", "minor"),
    [("{decimal: ','}", "1.234,50", 123450), ("decimal", "1,234.50", 123450), ("strip", "0", 0)],
)
def test_decimals_are_read_as_they_are_written(tmp_path: Path, function: str, cell: str, minor: int) -> None:
    text = SOUND + f"    price_override: {{column: price, function: {function}}}\n"
    reader = RowReader(load(tmp_path, text), ("id", "since", "price"), OFFER, AS_OF)
    assert reader.read(["1", "01.02.2026", cell]).items[0].price_override == minor


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("key: {column: id}", "key: id", "map.yaml:3: account.key", "write {column: id} to read a column"),
        ("{column: id}", "{}", "map.yaml:3: account.key", "either a column or a value"),
        ("{column: id}", "{column: id, value: x}", "map.yaml:3: account.key", "either a column or a value"),
        ("{column: id}", "{column: id, function: uper}", "map.yaml:3: account.key", "did you mean 'upper'?"),
        ("{column: id}", "{column: id, function: {upper: 1}}", "map.yaml:3: ", "takes no argument"),
        ("{column: id}", "{column: id, function: {lookup: []}}", "map.yaml:3: ", "lookup needs a table"),
        ('{date: "%d.%m.%Y"}', "{date: tomorrow}", "map.yaml:7: subscription.start", "date needs a format"),
        ('{date: "%d.%m.%Y"}', '{date: "%d.%m"}', "map.yaml:7: subscription.start", "date"),
        ("  key: {column: id}\n", "", "map.yaml:2: account.key", "is missing"),
        ("account:", "acount:", "map.yaml:2: acount", "did you mean 'account'?"),
        ("account:", "file: {encoding: utf-9}\naccount:", "map.yaml:2: file.encoding", "is not one of"),
        ("items:\n  - plan: {value: digital-monthly}", "items: []", "map.yaml:8: items", "must not be empty"),
    ],
)
def test_a_wrong_map_names_its_line(tmp_path: Path, old: str, new: str, place: str, words: str) -> None:
    assert old in SOUND
    with pytest.raises(DocumentError) as caught:
        load(tmp_path, SOUND.replace(old, new, 1))
    assert any(place in line and words in line for line in caught.value.lines()), caught.value.lines()


def test_columns_and_plans_that_do_not_exist_are_found_before_any_row(tmp_path: Path) -> None:
    import_map = load(
        tmp_path,
        SOUND.replace(
            "{value: digital-monthly}", "{column: tier, function: {lookup: {a: digital-monthly, b: gold}}}"
        ),
    )
    assert [p.path for p in missing_columns(import_map, ("id", "tier"))] == [
        ("subscription", "start", "column")
    ]
    assert "'gold'" in unknown_plans(import_map, ["digital-monthly"])[0].message
