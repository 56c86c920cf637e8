"""What a catalog document says of content and parcels, and what is told where it cannot be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.catalog_source import read_catalog_file
from runtime.yaml_source import DocumentError

EXAMPLE = (Path(__file__).parents[2] / "examples" / "catalog.yaml").read_text()
BOOK = "content: [{id: harbor-lights-epub, devices: 6, days: 36500}]"
ISSUES = "issues: {month_days: [1, 15], lead_days: 3}"


def refused(folder: Path, *changes: tuple[str, str]) -> list[str]:
    """What is told of the example with `changes`, each with its line, without the folder."""
    text = EXAMPLE
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file = folder / "catalog.yaml"
    file.write_text(text)
    with pytest.raises(DocumentError) as told:
        read_catalog_file(file)
    return [line.removeprefix(f"{folder}/") for line in told.value.lines()]


def line_of(text: str) -> int:
    """Where `text` stands in the example."""
    return next(no for no, line in enumerate(EXAMPLE.splitlines(), 1) if text in line)


@pytest.mark.parametrize(
    ("old", "new", "field", "message"),
    [
        (BOOK, BOOK.replace(", days: 36500", ""), "content", "say with `days` how long a licence"),
        (BOOK, BOOK.replace("devices: 6", "devices: 0"), "content[0].devices", "greater than or equal to 1"),
        (BOOK, BOOK.replace("devices", "device"), "content[0].device", "did you mean 'devices'?"),
        ("weight: 320", "weight: 0", "shipping.weight", "greater than 0"),
        ('customs: "4902.90"', 'customs: "newspaper"', "shipping.customs", "pattern"),
        (ISSUES, "issues: {lead_days: 3}", "shipping.issues", "by weekdays, or by month_days"),
        (ISSUES, "issues: {weekdays: [friday]}", "shipping.issues.weekdays[0]", "'friday' is not one of"),
        (
            "features: [quarterdeck]",
            "features: []",
            "versions[0].features",
            "as long as the version entitles",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line_and_field(
    tmp_path: Path, old: str, new: str, field: str, message: str
) -> None:
    (told,) = refused(tmp_path, (old, new))
    assert told.startswith(f"catalog.yaml:{line_of(old)}: plans"), told
    assert field in told
    assert message in told


def test_a_parcel_needs_somebody_who_sends_it(tmp_path: Path) -> None:
    (told,) = refused(tmp_path, (EXAMPLE[EXAMPLE.index("ships_from") :].splitlines()[0], ""))
    assert "shipping.sender: nobody is named who sends it" in told
    assert "`ships_from` of the catalog" in told


def test_a_sender_who_cannot_be_read_is_one_mistake(tmp_path: Path) -> None:
    (told,) = refused(tmp_path, ("country: US}", "country: usa}"))
    assert "ships_from.country: 'usa' is not a country" in told


def test_a_book_has_no_issues(tmp_path: Path) -> None:
    shipping = f"{BOOK}\n    shipping: {{sku: BOOK, weight: 400, issues: {{weekdays: [sat]}}}}"
    (told,) = refused(tmp_path, (BOOK, shipping))
    assert "the plan is bought once, and BOOK is sent issue by issue" in told
