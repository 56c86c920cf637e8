"""What a catalog document may say, and what is found wrong with it: place, words, and all of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.catalog_source import read_catalog_file
from runtime.yaml_source import DocumentError

EXAMPLE = Path(__file__).parents[2] / "examples" / "catalog.yaml"

SOUND = """\
format: masthead.catalog/1
publisher: The Test Post
currencies: [USD, JPY]
features: [{code: news, name: News}]
meters: [{code: articles, name: Articles, unit: article}]
products: [{code: digital, name: Digital, tax_category: digital}]
plans:
  - code: monthly
    name: Monthly
    product: digital
    versions:
      - version: 1
        effective: 2020-01-01
        interval: {unit: month}
        features: [news]
        phases:
          - kind: evergreen
            prices:
              - {code: access, type: recurring, amounts: {USD: 12.00, JPY: 1800}}
tax_rates:
  - {region: JP, category: digital, jurisdiction: JP, rate: 0.1, effective: 2020-01-01}
"""
PRICE = "{code: access, type: recurring, amounts: {USD: 12.00, JPY: 1800}}"
EVERGREEN = "- kind: evergreen\n            prices:\n              - " + PRICE


def problems(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "catalog.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DocumentError) as caught:
        read_catalog_file(file)
    return [line.replace(str(file), "F") for line in caught.value.lines()]


def test_the_example_and_the_sound_document_are_sound(tmp_path: Path) -> None:
    catalog = read_catalog_file(EXAMPLE).catalog
    assert catalog.currencies == ("USD", "EUR", "JPY")
    assert any(len(plan.versions) > 1 for plan in catalog.plans)
    file = tmp_path / "sound.yaml"
    file.write_text(SOUND)
    price = read_catalog_file(file).catalog.plans[0].versions[0].phases[0].prices[0]
    assert price.amounts == {"USD": "12.00", "JPY": "1800"}


RENEWAL = """\
              - {code: access, type: recurring, amounts: {USD: 12.00, JPY: 1800}}
      - version: 2
        effective: 2030-01-01
        applies_to: renewal
        interval: {unit: year}
        phases: [{kind: evergreen, prices: [{code: access, type: recurring, amounts: {USD: 99.00, JPY: 9900}}]}]
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (f"              - {PRICE}\n", RENEWAL, "has to be billed as often"),
        (
            PRICE,
            PRICE.replace("recurring", "one_time")
            + "\n              - {code: read, type: usage, model: per_unit, "
            "meter: articles, amounts: {USD: 0.10, JPY: 10}}",
            "charged with the first period paid in advance",
        ),
        (
            PRICE,
            PRICE + "\n              - {code: setup, type: one_time, amounts: {USD: 1.00, JPY: 100}, "
            "parts: [{product: digital, weight: 1}]}",
            "only a recurring price is divided among parts",
        ),
    ],
    ids=["renewal with another interval", "one-time price beside usage alone", "parts of a one-time price"],
)
def test_what_could_not_be_billed_as_written_is_refused(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in SOUND
    found = problems(tmp_path, SOUND.replace(old, new))
    assert len(found) == 1, found
    assert words in found[0]


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("product: digital\n", "product: paper\n", "F:10: plans[0].product", "no product 'paper'"),
        (
            "features: [news]",
            "features: [news]\n        allowances: {tv: {count: 1}}",
            "F:16: plans[0].versions[0].allowances.tv",
            "does not entitle to 'tv'; add it to its features",
        ),
        (
            "features: [news]",
            "features: [news]\n        allowances: {news: {count: 0}}",
            "F:16: plans[0].versions[0].allowances.news.count",
            "greater than or equal to 1",
        ),
        (
            "features: [news]",
            "features: [news]\n        allowances: {news: {count: 5, window: {kind: rolling}}}",
            "F:16: plans[0].versions[0].allowances.news.window",
            "days",
        ),
        (
            "features: [news]",
            "features: [sport]",
            "F:15: plans[0].versions[0].features[0]",
            "no feature 'sport'",
        ),
        ("JPY: 1800", "JPY: 18.5", "F:19: ", "JPY has (0)"),
        ("USD: 12.00", "USD: 12.005", "F:19: ", "USD has (2)"),
        ("USD: 12.00", "USD: -1", "F:19: ", "below zero"),
        ("USD: 12.00, ", "", "F:19: ", "no amount in USD"),
        ("USD: 12.00", "USD: 12.00, EUR: 9", "F:19: ", "EUR is not among the catalog's currencies"),
        ("[USD, JPY]", "[USD, JPY, UDS]", "F:3: currencies[2]", "'UDS' is not an ISO 4217 currency"),
        ("USD: 12.00", "usd: 12.00", "F:19: ", "'usd' is not an ISO 4217 currency"),
        ("kind: evergreen", "kind: intro", "F:17: ", "the last phase must be evergreen"),
        ("kind: evergreen", "kind: forever", "F:17: ", "is not one of 'trial', 'intro' or 'evergreen'"),
        ("type: recurring", "type: usage, model: per_unit", "F:19: ", "a usage price needs a meter"),
        ("type: recurring", "type: usage, model: per_unit, meter: clicks", "F:19: ", "no meter 'clicks'"),
        ("type: recurring", "type: recurring, meter: articles", "F:19: ", "only usage prices do"),
        ("type: recurring", "type: recurring, model: package", "F:19: ", "needs package_size"),
        ("type: recurring", "type: recurring, package_size: 5", "F:19: ", "has no package_size"),
        ("type: recurring", "type: recurring, tiers: [{unit_amounts: {USD: 1}}]", "F:19: ", "has no tiers"),
        (
            "type: recurring",
            "type: recurring, parts: [{product: tv, weight: 1}]",
            "F:19: ",
            "no product 'tv'",
        ),
        (EVERGREEN, "- {kind: evergreen}", "F:17: ", "the evergreen phase has no price"),
        (EVERGREEN, "- {kind: trial}\n          " + EVERGREEN, "F:17: ", "a trial needs its length"),
        (
            EVERGREEN,
            "- {kind: trial, days: 7, prices: [" + PRICE + "]}\n          " + EVERGREEN,
            "F:17: ",
            "free",
        ),
        (EVERGREEN, EVERGREEN + "\n          - {kind: trial, days: 7}", "F:20: ", "only be the first phase"),
        (EVERGREEN, "- {kind: intro, prices: [" + PRICE + "]}\n          " + EVERGREEN, "F:17: ", "periods"),
        (
            "- " + PRICE,
            "- " + PRICE + "\n              - " + PRICE,
            "F:20: ",
            "price access stands here twice",
        ),
        ("effective: 2020-01-01\n", "effective: soon\n", "F:13: ", "'soon' is not a date; write it like"),
        ("plans:\n", "prices: [" + PRICE + "]\nplans:\n", "F:7: prices", "a price without a plan"),
        ("    versions:", "    price: 12\n    versions:", "F:11: plans[0].price", "a price without a plan"),
        ("publisher: The Test Post", "publishers: X", "F:2: publishers", "did you mean 'publisher'?"),
        ("publisher: The Test Post\n", "", "publisher", "is missing; it is required"),
        ("code: monthly", "code: Monthly Plan", "F:8: plans[0].code", "is not a code"),
        ("version: 1", "version: one", "F:12: ", "'one' is not a number"),
        ("rate: 0.1", "rate: 10", "F:21: ", "should be less than 1"),
    ],
)
def test_a_problem_names_its_place_and_its_remedy(
    tmp_path: Path, old: str, new: str, place: str, words: str
) -> None:
    assert old in SOUND
    found = problems(tmp_path, SOUND.replace(old, new, 1))
    assert any(place in line and words in line for line in found), found


def test_tiers_must_ascend_and_end_open(tmp_path: Path) -> None:
    tiers = (
        "{code: reads, type: usage, model: graduated, meter: articles, tiers: ["
        "{unit_amounts: {USD: 0.005, JPY: 1}}, {up_to: 20, unit_amounts: {USD: 1, JPY: 1}},"
        "{up_to: 10, unit_amounts: {USD: 1}}]}"
    )
    found = "\n".join(problems(tmp_path, SOUND.replace(PRICE, tiers)))
    assert "only the last tier may leave out up_to" in found
    assert "tiers must ascend: 10 does not come after 20" in found
    assert "the last tier must be open" in found
    assert "no amount in JPY in this tier" in found
    assert "0.005" not in found  # usage may cost a fraction of a cent


def test_versions_of_a_plan_have_numbers_and_days_of_their_own(tmp_path: Path) -> None:
    version = SOUND[SOUND.index("      - version: 1") : SOUND.index("tax_rates")]
    found = "\n".join(problems(tmp_path, SOUND.replace("tax_rates", version + "tax_rates")))
    assert "version 1 stands here twice" in found
    second = version.replace("version: 1", "version: 2")
    found = "\n".join(problems(tmp_path, SOUND.replace("tax_rates", second + "tax_rates")))
    assert "one day can have one version only" in found
    earlier = second.replace("2020", "2019")
    found = "\n".join(problems(tmp_path, SOUND.replace("tax_rates", earlier + "tax_rates")))
    assert "version 2 is effective before version 1" in found


def test_all_problems_come_at_once_in_the_order_of_their_lines(tmp_path: Path) -> None:
    other = SOUND[SOUND.index("  - code: monthly") : SOUND.index("tax_rates")]
    other = other.replace("code: monthly", "code: other").replace("unit: month", "unit: moon")
    text = SOUND.replace("JPY: 1800", "JPY: 1800.5").replace("tax_rates", other + "tax_rates")
    found = problems(tmp_path, text)
    assert len(found) == 2
    assert "JPY has (0)" in found[0]
    assert found[1].startswith("F:26: plans[1].versions[0].interval.unit")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "F: is empty"),
        ("# only a remark\n", "F: is empty"),
        ("a: [1, 2\nb: 3\n", "F:2: column 2: broken YAML"),
        ("format: masthead.catalog/1\n\tpublisher: X\n", "F:2: column 1: broken YAML"),
        ("a: 1\nb: 2\na: 3\n", "F:3: a: stands here twice; the first is on line 1"),
        ("- 1\n- 2\n", "is a list; a catalog is expected here"),
        ("a: !!python/object:os.system x\n", "is not known here"),
        ("a: &a [*a, *a]\n", "too large once its aliases are expanded, or nested too deeply"),
        ("[" * 3000, "nested too deeply"),
        ("--- 1\n--- 2\n", "broken YAML"),
    ],
)
def test_what_is_no_document_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    assert any(words in line for line in problems(tmp_path, text))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "none.yaml", "does not exist"), (tmp_path, "is a folder")):
        with pytest.raises(DocumentError, match=words):
            read_catalog_file(path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(DocumentError, match=r"latin\.yaml:2: is not UTF-8"):
        read_catalog_file(latin)
