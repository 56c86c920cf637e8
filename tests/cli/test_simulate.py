"""`masthead simulate` as its user meets it: exit codes, messages with file and line, the terminal and the JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.simulation import report as reporting
from runtime.cli.app import run
from runtime.scenario_source import VERBS

EXAMPLES = Path(__file__).parents[2] / "examples"
SCENARIOS = sorted((EXAMPLES / "scenarios").glob("*.yaml"))
GOOD = """\
title: A good one
account: {currency: USD, timezone: America/New_York, tax: {region: US-NY}}
catalog: catalog.yaml
policy:
  cancel: {credit: prorated}
steps:
  - {at: 2026-01-01, do: subscribe, plan: digital-monthly}
  - {at: 2026-01-01, do: bill}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a scenario and its catalog lie; no database and no Temporal can be reached."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/none")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("MASTHEAD_HOME", str(tmp_path / "home"))
    (tmp_path / "catalog.yaml").write_text((EXAMPLES / "catalog.yaml").read_text())
    return tmp_path


def simulate(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, *options: str
) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) for the scenario `text`."""
    file = folder / "scenario.yaml"
    file.write_text(text)
    code = run(["simulate", str(file), *options])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_scenario_is_told_day_by_day(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = simulate(folder, capsys, GOOD)
    assert (code, err) == (0, "")
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines[0] == "A good one"
    # In the order in which it happened: the step, its invoice, its payment.
    told = [line.strip() for line in lines if line.startswith("  ") and not line.startswith("   ")]
    assert told[:4] == [
        "subscribe: plan digital-monthly",
        "bill",
        "Invoice 1, due 2026-01-01: paid",
        "Payment 1: 13.07 received",
    ]
    assert "tax New York State 4 %" in out
    # Both sides of the trial balance, and no account without a balance.
    assert re.search(r"total +13\.07 +13\.07", out)
    assert "Accounts receivable" not in out


def test_nothing_is_started_or_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    simulate(folder, capsys, GOOD)
    assert not (folder / "home").exists()


@pytest.mark.parametrize("file", SCENARIOS, ids=[file.stem for file in SCENARIOS])
def test_the_examples_fit_a_terminal(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for width in (80, 160):
        monkeypatch.setattr("runtime.cli.tables.WIDTH_ELSEWHERE", width)
        assert run(["simulate", str(file)]) == 0
        out = capsys.readouterr().out
        assert max(len(line) for line in out.splitlines()) <= width
        assert "…" not in out
        # No amount and no day is torn apart or left out where a line is folded.
        found.append(sorted(re.findall(r"20\d\d-\d\d-\d\d|-?[\d,]+\.\d\d\b", out)))
    assert found[0] == found[1]


def test_a_refused_step_is_told_and_the_rest_is_played(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = GOOD + "  - {at: 2026-01-02, do: resume}\n  - {at: 2026-02-01, do: bill}\n"
    code, out, _ = simulate(folder, capsys, text)
    assert code == 0
    assert "refused: subscription 'main' is not paused, so it cannot be resumed" in out
    assert "1 step was refused and changed nothing: line 9 (resume)" in out
    assert "Invoice 2" in out
    code, out, _ = simulate(folder, capsys, text, "--json")
    assert json.loads(out)["refused"] == [
        {
            "step": 3,
            "date": "2026-01-02",
            "do": "resume",
            "reason": "subscription 'main' is not paused, so it cannot be resumed",
            "line": 9,
        }
    ]
    code, out, _ = simulate(folder, capsys, text + "  - {at: 2026-02-02, do: resume}\n")
    assert "2 steps were refused and changed nothing: line 9 (resume), line 11 (resume)" in out


def test_texts_of_the_document_are_no_markup(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = GOOD.replace("A good one", "'[bold]A good one[/bold]'")
    text += "  - {at: 2026-01-02, do: credit_note, invoice: 1, amount: 1.00, reason: '[red]late[/red]'}\n"
    _, out, _ = simulate(folder, capsys, text)
    assert out.startswith("[bold]A good one[/bold]\n")
    assert "Credit note CN-1 on invoice 1: [red]late[/red]" in out


def test_what_waits_is_open_or_was_given_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = GOOD.replace("timezone: America/New_York", "auto_pay: false") + (
        "  - {at: 2026-01-02, do: adjust_line, invoice: 1, line: 1, amount: 2.00}\n"
        "  - {at: 2026-01-02, do: gift, plan: digital-yearly}\n"
        "  - {at: 2026-01-02, do: claim}\n"
        "  - {at: 2026-01-02T09:30, do: usage, meter: articles, quantity: 1}\n"
    )
    _, out, _ = simulate(folder, capsys, text)
    assert "waiting for the next invoice: 2.00 before its tax" in out
    assert "open on invoices: 143.72; account credit: 0.00" in out  # 13.07 and 130.65
    assert "gift gift: claimed, read from 2026-01-02 until 2027-01-02" in out
    assert "past due" in out
    assert "open     " in out


def test_an_instant_is_told_in_local_time(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = GOOD.replace("cancel: {credit: prorated}", "proration: second") + (
        "  - {at: 2026-01-16T09:30, do: change_plan, to: digital-student, behaviour: immediate_with_proration}\n"
        "  - {at: 2026-01-16T09:30:15, do: change_plan, to: digital-monthly}\n"
        "  - {at: 2026-02-01, do: bill}\n"
    )
    _, out, _ = simulate(folder, capsys, text)
    assert "2026-01-16 09:30  " in out
    assert "2026-01-16 09:30:15" in out


def test_json_holds_everything(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = simulate(folder, capsys, GOOD, "--json")
    assert code == 0
    found = json.loads(out)
    assert {
        "invoices",
        "credit_notes",
        "payments",
        "account_credit",
        "balance",
        "subscriptions",
        "dunning",
        "journal",
        "revenue",
        "trial_balance",
        "timeline",
        "refused",
    } <= found.keys()
    assert found["invoices"][0]["lines"][0]["amount"] == 1200
    assert found["invoices"][0]["total"] == 1307


def test_the_same_scenario_gives_the_same_bytes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(folder, capsys, GOOD, "--json") == simulate(folder, capsys, GOOD, "--json")


def test_a_broken_law_is_a_failure(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        reporting, "broken_laws", lambda world: ["I1: the entry of invoice 1 does not balance"]
    )
    code, out, err = simulate(folder, capsys, GOOD)
    assert code == 1
    assert "Invoice 1" in out
    assert "a law of the books does not hold: I1: the entry of invoice 1 does not balance" in err
    assert "mistake in Masthead" in err


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("do: bill}", "do: bil}", 8, "steps[1].do: 'bil' is no verb; the verbs are: subscribe, change_plan"),
        ("do: bill}", "plan: x}", 8, "do: is missing; the verbs are"),
        ("{at: 2026-01-01, do: bill}", "bill", 8, "must be a block like {at: 2026-12-01, do: bill}"),
        ("do: bill}", "do: bill, until: 2026-02-01}", 8, "steps[1].until: is not a field here"),
        ("plan: digital", "plam: digital", 7, "steps[0].plam: is not a field here; did you mean 'plan'?"),
        ("do: bill}", "do: pay, amount: twelve}", 8, "'twelve' is not an amount; write it like 12.34"),
        ("2026-01-01, do: bill", "1.1.2026, do: bill", 8, "'1.1.2026' is neither a date (2026-12-01) nor"),
        ("do: bill}", "do: bill", 9, "broken YAML"),
        ("2026-01-01, do: bill", "2025-12-31, do: bill", 8, "put the steps in order of time"),
        ("do: bill}", "do: bill, to: 2206-01-01}", 8, "is the year right?"),
        ("America/New_York", "America/Gotham", 2, "account.timezone: 'America/Gotham' is no time zone"),
        ("do: bill}", "do: move_time_zone, timezone: Mars}", 8, "'Mars' is no time zone"),
        ("currency: USD", "currency: EURO", 2, "'EURO' is not an ISO 4217 currency code"),
        ("currency: USD", "currency: GBP", 2, "the catalog has no prices in GBP; it has them in: USD, EUR, JPY"),
        ("credit: prorated", "credit: half", 5, "policy.cancel.credit: 'half' is not one of 'prorated', 'none' or"),
        ("credit: prorated", "credits: none", 5, "policy.cancel.credits: is not a field here; did you mean 'credit'?"),
        ("cancel: {credit: prorated}", "payment_terms_days: -1", 5, "policy.payment_terms_days"),
        (
            "cancel: {credit: prorated}",
            "dunning: {states: [{name: a}, {name: a}], retry: {soft: {days: [3, 1]}}}",
            5,
            "the days must rise",
        ),
        ("digital-monthly", "digital-montly", 7, "the catalog has no plan 'digital-montly'; did you mean 'digital-"),
        ("do: bill}", "do: apply_coupon, coupon: X}", 8, "the scenario has no coupon 'X'; it has: none"),
        ("do: bill}", "do: usage, meter: pages, quantity: 1}", 8, "the catalog has no meter 'pages'; it has: articles"),
        ("catalog: catalog.yaml", "catalog: missing.yaml", 3, "catalog: missing.yaml does not exist"),
        ("catalog: catalog.yaml", "catalog: {publisher: X}", 3, "catalog.currencies: is missing"),
        ("steps:", "stepz:", 6, "did you mean 'steps'?"),
        ("title: A good one", "format: masthead.catalog/1", 1, "a scenario is expected here"),
    ],
)  # fmt: skip
def test_a_bad_document(
    folder: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, line: int, words: str
) -> None:
    assert old in GOOD
    code, out, err = simulate(folder, capsys, GOOD.replace(old, new, 1))
    assert (code, out) == (2, "")
    assert [each for each in err.splitlines() if f"scenario.yaml:{line}: " in each and words in each], err
    assert "Nothing was played." in err
    assert "Traceback" not in err
    assert "pydantic" not in err


def test_no_steps(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = simulate(folder, capsys, GOOD[: GOOD.index("steps:")] + "steps: []\n")
    assert code == 2
    assert "scenario.yaml:6: steps: must not be empty" in err
    code, _, err = simulate(folder, capsys, GOOD[: GOOD.index("steps:")])
    assert code == 2
    assert "steps: is missing; it is required" in err


def test_all_mistakes_are_told_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = GOOD.replace("America/New_York", "Mars").replace("do: bill", "do: bil").replace("plan:", "plam:")
    _, _, err = simulate(folder, capsys, text)
    assert [int(line) for line in re.findall(r"scenario\.yaml:(\d+):", err)] == [2, 7, 7, 8]


def test_mistakes_of_the_catalog_have_its_own_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog = (folder / "catalog.yaml").read_text()
    (folder / "catalog.yaml").write_text(catalog.replace("{USD: 12.00, EUR", "{EUR", 1))
    code, _, err = simulate(folder, capsys, GOOD)
    assert code == 2
    line = catalog[: catalog.index("{USD: 12.00, EUR")].count("\n") + 1
    assert f"catalog.yaml:{line}: " in err
    assert "has no amount in USD" in err


def test_mistakes_of_a_catalog_within_the_scenario(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seats = (EXAMPLES / "scenarios" / "seats-up-and-down.yaml").read_text()
    code, _, err = simulate(
        folder, capsys, seats.replace("      product: digital-news", "      product: gone", 1)
    )
    assert code == 2
    line = seats[: seats.index("      product: digital-news")].count("\n") + 1
    assert f"scenario.yaml:{line}: catalog.plans[0].product: there is no product 'gone'" in err


def test_no_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", str(folder / "none.yaml")]) == 2
    assert "none.yaml: does not exist; check the path" in capsys.readouterr().err
    assert run(["simulate"]) == 2
    assert "no scenario was given" in capsys.readouterr().err
    assert run(["simulate", str(folder)]) == 2
    assert "is a folder, not a file" in capsys.readouterr().err


def schema(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run(["simulate", "--schema"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for each in node.values():
            yield from _nodes(each)
    elif isinstance(node, list):
        for each in node:
            yield from _nodes(each)


def test_the_schema_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    found = schema(capsys)
    types = {"object", "array", "string", "integer", "number", "boolean", "null"}
    for node in _nodes({**found, "properties": found["properties"]}):
        if isinstance(node.get("$ref"), str):
            assert node["$ref"].removeprefix("#/$defs/") in found["$defs"]
        if isinstance(node.get("type"), str) and "title" in node:
            assert node["type"] in types
    assert found["required"] == ["account", "catalog", "steps"]
    verbs = found["properties"]["steps"]["items"]["discriminator"]["mapping"]
    assert set(verbs) == set(VERBS)


def _reached(found: dict[str, Any], name: str, seen: set[str]) -> set[str]:
    if name not in seen:
        seen.add(name)
        for node in _nodes(found["$defs"][name]):
            if isinstance(node.get("$ref"), str):
                _reached(found, node["$ref"].removeprefix("#/$defs/"), seen)
    return seen


def test_every_key_of_policy_account_and_steps_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    found = schema(capsys)
    models = {"AccountTerms", *_reached(found, "Policy", set())}
    models |= {
        each["$ref"].removeprefix("#/$defs/") for each in found["properties"]["steps"]["items"]["oneOf"]
    }
    models.discard("IntervalSpec")  # as in the catalog, where docs/catalog.md explains it
    unexplained = [
        f"{name}.{key}"
        for name in sorted(models)
        for key, value in found["$defs"][name].get("properties", {}).items()
        if not value.get("description")
    ]
    unexplained += [key for key, value in found["properties"].items() if not value.get("description")]
    assert unexplained == []
    for name in models:
        if "properties" in found["$defs"][name]:
            assert found["$defs"][name].get("description"), name
