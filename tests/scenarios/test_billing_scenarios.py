"""The scenarios of examples/scenarios: played, the laws hold, and the amounts are those computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from domain.simulation.play import play
from domain.simulation.report import report
from runtime.cli.app import run
from runtime.scenario_source import read_scenario_file
from tests.scenarios.guide import missing_lines, policy_rows, shown_outputs, verb_rows

HOUSE = Path(__file__).parents[2]
GUIDE = (HOUSE / "docs" / "billing.md").read_text()
SHOWN = list(shown_outputs(GUIDE))
SCENARIOS = HOUSE / "examples" / "scenarios"
NAMES = sorted(file.stem for file in SCENARIOS.glob("*.yaml"))
# New York: 4 % and 4.875 % of 12.00, rounded one by one (law 7): 0.48 + 0.585 -> 0.59.
NEW_YORK_12 = 1200 + 48 + 59


def played(name: str) -> dict[str, Any]:
    source = read_scenario_file(SCENARIOS / f"{name}.yaml")
    found = report(play(source.scenario, source.catalog))
    assert found["broken_laws"] == []
    return found


def totals(found: dict[str, Any]) -> list[int]:
    return [invoice["total"] for invoice in found["invoices"]]


def credited(found: dict[str, Any]) -> list[tuple[int, int]]:
    """(before tax, tax) of each credit note."""
    return [(note["subtotal"], note["tax"]) for note in found["credit_notes"]]


def lines(found: dict[str, Any], number: int) -> list[tuple[str, str | None, str | None, int, int]]:
    return [
        (line["kind"], line["start"], line["end"], line["amount"], line["tax"])
        for line in found["invoices"][number - 1]["lines"]
    ]


def standing(found: dict[str, Any]) -> dict[str, int]:
    return {account: amount for account, amount in found["trial_balance"].items() if amount}


@pytest.mark.parametrize("name", NAMES)
def test_the_laws_hold_and_debits_are_credits(name: str) -> None:
    found = played(name)
    # law I1, per entry and over all
    for entry in found["journal"]:
        assert sum(each["debit"] - each["credit"] for each in entry["postings"]) == 0
    assert sum(found["trial_balance"].values()) == 0
    # law I2
    assert found["trial_balance"].get("accounts_receivable", 0) == found["balance"]
    assert found["trial_balance"].get("account_credit", 0) == -found["account_credit"]
    # law I9
    for invoice in found["invoices"]:
        assert invoice["subtotal"] == sum(line["amount"] for line in invoice["lines"])
        assert invoice["tax"] == sum(line["tax"] for line in invoice["lines"])
        assert invoice["total"] == invoice["subtotal"] + invoice["tax"]


def test_intro_to_evergreen() -> None:
    found = played("intro-to-evergreen")
    # Three intro periods of 1.00, 4 % of it 0.04 and 4.875 % of it 0.04875 -> 0.05; then the full price.
    assert totals(found) == [109, 109, 109, NEW_YORK_12, NEW_YORK_12]
    # law 2: from the 31st, clamped in short months and never for good
    dates = [invoice["date"] for invoice in found["invoices"]]
    assert dates == ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]


def test_upgrade_in_the_middle_of_a_month() -> None:
    found = played("upgrade-mid-month")
    assert lines(found, 2) == [
        # laws 4 and 5: 16 of 31 days were not used from the 16th on. 4.99 less 15/31 of it (2.41) is 2.58; of the tax
        # 0.20 less 0.10, and 0.24 less 0.12.
        ("unused_credit", "2026-01-16", "2026-02-01", -258, -22),
        # law 3: 16/31 of 12.00 is 6.19; 4 % of that 0.25, 4.875 % 0.30
        ("recurring", "2026-01-16", "2026-02-01", 619, 55),
        ("recurring", "2026-02-01", "2026-03-01", 1200, 107),
    ]
    # 4.99 + 0.20 + 0.24; then -2.58 - 0.22 + 6.19 + 0.55 + 13.07
    assert totals(found) == [543, 1701]
    # January is over: of the student's price 2.41 is revenue, and all 6.19 of the catch-up. February is deferred.
    assert standing(found) == {
        "payments_in_clearing": 543 + 1701,
        "deferred_revenue": -1200,
        "tax_payable": -(44 + 140),
        "revenue": -(499 - 258 + 619),
    }


def test_downgrade_at_the_end_of_the_period() -> None:
    found = played("downgrade-at-period-end")
    # law 6: nothing is credited; the month after costs 4.99 + 0.20 + 0.24
    assert totals(found) == [NEW_YORK_12, 543]
    assert credited(found) == []


def test_seats_up_and_down() -> None:
    found = played("seats-up-and-down")
    assert lines(found, 2) == [
        # 5 seats of 9.00 were paid for April: 20 of 30 days are given back.
        ("unused_credit", "2026-04-11", "2026-05-01", -3000, 0),
        # 8 seats for 10 days: 72.00 / 3; 6 seats for 10 days: 54.00 / 3
        ("recurring", "2026-04-11", "2026-04-21", 2400, 0),
        ("recurring", "2026-04-21", "2026-05-01", 1800, 0),
        ("recurring", "2026-05-01", "2026-06-01", 5400, 0),
    ]
    assert totals(found) == [4500, 6600]
    # April, which is over: 5 seats, then 8, then 6, for ten days each
    assert standing(found)["revenue"] == -(1500 + 2400 + 1800)


def test_a_year_paused_twice() -> None:
    found = played("yearly-paused-twice")
    assert totals(found) == [
        11000 + 231,  # 2.1 %
        # Resumed on 15 March: 292 of 365 days, 88.00; 2.1 % of it 1.848
        8800 + 185,
        # Resumed on 21 June: 194 of 365 days, 58.465...; 2.1 % of 58.47 is 1.2279
        5847 + 123,
    ]
    assert credited(found) == [
        # 59 days used until 1 March: 110.00 - 17.78; of the tax 2.31 - 0.37
        (-9222, -194),
        # 78 of 292 days used until 1 June: 88.00 - 23.51; of the tax 1.85 - 0.49
        (-6449, -136),
    ]
    # 94.16 - 89.85 + 65.85 - 59.70
    assert found["account_credit"] == 1046
    # What was used is revenue: 17.78 + 23.51
    assert standing(found)["revenue"] == -(1778 + 2351)


def test_a_year_that_pauses_extend() -> None:
    found = played("yearly-pauses-extend")
    # 14 and 20 days were paused: the year ends on 4 February, 34 days later, and nothing is credited.
    assert [(invoice["date"], invoice["total"]) for invoice in found["invoices"]] == [
        ("2026-01-01", 11231),
        ("2027-02-04", 11231),
    ]
    assert credited(found) == []


def test_a_holiday_stop() -> None:
    found = played("holiday-stop")
    # 14.80 for four Saturdays: 3.70 each, of the tax (7 %, 1.036 -> 1.04) 0.26
    assert [line[3:] for line in lines(found, 2)] == [(-370, -26), (-370, -26), (1480, 104)]
    assert totals(found) == [1584, 1584 - 2 * 396]
    # No bill follows the end: the last missed issue is paid back, not forgotten.
    assert credited(found) == [(-370, -26)]
    assert found["payments"][1]["refunded"] == 396
    assert found["account_credit"] == 0
    # Eight Saturdays were paid for, five delivered.
    assert standing(found)["revenue"] == -5 * 370
    assert [each["do"] for each in found["refused"]] == ["holiday_stop"]
    assert "print cut-off" in found["refused"][0]["reason"]


def test_gifts() -> None:
    found = played("gift")
    # 120.00: 6.5 % is 7.80, 3.85 % 4.62; 60.00: 3.90 and 2.31
    assert totals(found) == [13242, 6621]
    # Read from 24 December until 7 March: 73 of 365 days, a fifth. Back go 96.00, 6.24 of 7.80 and 3.70 of 4.62 (a
    # fifth of which is 0.924 -> 0.92).
    assert credited(found) == [(-9600, -994)]
    assert found["payments"][0]["refunded"] == 10594
    assert [(gift["name"], gift["state"]) for gift in found["gifts"]] == [
        ("for-ann", "refunded"),
        ("for-ben", "expired"),
    ]
    assert standing(found) == {
        "payments_in_clearing": 13242 + 6621 - 10594,
        "tax_payable": -(1242 + 621 - 994),
        "revenue": -2400,
        "breakage_revenue": -6000,
    }


def test_a_card_that_recovers() -> None:
    found = played("card-fails-and-recovers")
    # Retries on days 1, 3 and 5 after the first failure; the last one is after the last day of failing.
    assert [(each["date"], each["status"]) for each in found["payments"]] == [
        ("2026-03-01", "failed"),
        ("2026-03-02", "failed"),
        ("2026-03-04", "failed"),
        ("2026-03-06", "succeeded"),
        ("2026-04-01", "succeeded"),
    ]
    assert [(each["date"], each["state"]) for each in found["dunning"]] == [
        ("2026-03-01", "current"),
        ("2026-03-02", "overdue"),
        ("2026-03-06", "current"),
    ]
    assert totals(found) == [NEW_YORK_12, NEW_YORK_12]


def test_a_card_that_does_not() -> None:
    found = played("card-expired-to-cancellation")
    # A hard decline is not tried again.
    assert len(found["payments"]) == 1
    # 1, 7, 14, 30 and 60 days after 1 March
    assert [(each["date"], each["state"]) for each in found["dunning"][1:6]] == [
        ("2026-03-02", "overdue"),
        ("2026-03-08", "restricted"),
        ("2026-03-15", "suspended"),
        ("2026-03-31", "canceled"),
        ("2026-04-30", "written_off"),
    ]
    # law 4: the cancel day, 31 March, is not billed: 12.00 less 30/31 of it (11.61); 0.48 - 0.46 and 0.59 - 0.57
    assert credited(found) == [(-39, -4)]
    assert standing(found) == {"bad_debt": 1307 - 43, "revenue": -1161, "tax_payable": -(107 - 4)}
    assert found["subscriptions"][0]["state"] == "canceled"
    assert "dunning blocks changes of plan" in found["refused"][0]["reason"]


def test_metered_articles() -> None:
    found = played("metered-articles")
    assert [[line[0::3] for line in lines(found, number)] for number in (1, 2, 3)] == [
        # 35 articles, ten for nothing: 20 x 0.39 + 5 x 0.25
        [("usage", 905)],
        # law 8: 11 and the one of the last second are February's: 2 x 0.39, brought up to 5.00
        [("usage", 78), ("minimum", 422)],
        # The 30 of midnight open March: 20 x 0.39
        [("usage", 780)],
    ]
    # 10 % each: 0.905 -> 0.91; 0.078 -> 0.08 and 0.422 -> 0.42; 0.78
    assert totals(found) == [996, 550, 858]


def test_coupon_bundle_and_inclusive_tax() -> None:
    found = played("coupon-bundle-vat")
    # 45.90 is 32.13 of print (70 %, 7 % tax) and 13.77 of digital (19 %). 10 % off each: 3.21 and 1.38.
    print_left, digital_left = 3213 - 321, 1377 - 138
    # law 7: the tax within 28.92 is 28.92 * 7/107 = 1.892, within 12.39 it is 12.39 * 19/119 = 1.978.
    assert totals(found) == [print_left + digital_left] * 3 + [4590]
    assert {each["rate"]: each["amount"] for each in found["invoices"][0]["taxes"]} == {
        "0.07": 189,
        "0.19": 198,
    }
    assert found["invoices"][0]["subtotal"] == print_left + digital_left - 189 - 198
    # Without the coupon: 32.13 * 7/107 = 2.102 and 13.77 * 19/119 = 2.199
    assert found["invoices"][3]["tax"] == 210 + 220


def test_cancel_and_reactivate() -> None:
    found = played("cancel-and-reactivate")
    # 11.00 and 2.1 %: 0.231
    assert totals(found) == [1123, 1123, 1123]
    # 15 of 30 days left on 20 April: 5.50, and 0.23 less the half of it rounded (0.12)
    assert credited(found) == [(-550, -11)]
    assert found["invoices"][2]["credit_used"] == 561
    assert [payment["amount"] for payment in found["payments"]] == [1123, 1123, 1123 - 561]
    # The cancel taken back left no gap; the one that took effect did.
    assert [line[1:3] for number in (1, 2, 3) for line in lines(found, number)] == [
        ("2026-03-05", "2026-04-05"),
        ("2026-04-05", "2026-05-05"),
        ("2026-06-01", "2026-07-01"),
    ]


def test_from_monthly_to_yearly() -> None:
    found = played("monthly-to-yearly")
    assert lines(found, 2) == [
        # 14 of 28 days: half of 12.00, of 0.48 and of 0.59 (0.59 less 0.30)
        ("unused_credit", "2026-02-15", "2026-03-01", -600, -53),
        # 4 % is 4.80, 4.875 % 5.85
        ("recurring", "2026-02-15", "2027-02-15", 12000, 1065),
    ]
    assert totals(found) == [NEW_YORK_12, 12412]


def test_a_void_and_a_credit_note() -> None:
    found = played("void-and-credit-note")
    # 5 x 27.00; 6.5 % is 8.775 -> 8.78, 3.85 % is 5.1975 -> 5.20
    assert totals(found) == [14898, 14898]
    assert [invoice["status"] for invoice in found["invoices"]] == ["void", "paid"]
    # A tenth of it, 14.90, split like what was billed: 13.50, 0.88 and 0.52
    assert credited(found) == [(-1350, -140)]
    assert [payment["amount"] for payment in found["payments"]] == [14898 - 1490]
    # The void took its own tax back: what is owed is that of the second invoice, less that of the credit note.
    assert standing(found) == {
        "cash": 13408,
        "deferred_revenue": -(13500 - 1350),
        "tax_payable": -(1398 - 140),
    }


def test_yen() -> None:
    found = played("yen")
    # 750 and 10 %; 9 and 10 % of it, 0.9 -> 1; 750 less 15/31 of it (363) is 387, its tax 75 less 36; 16/31 of 1800
    # is 929, its tax 93; 1800 and 180
    assert totals(found) == [825, 10, -387 - 39 + 929 + 93 + 1980]
    # law 10: 10 yen are less than the 50 that gateways charge: carried forward, and no reason for dunning
    assert [(each["date"], each["amount"]) for each in found["payments"]] == [
        ("2026-01-01", 825),
        ("2026-02-01", 10 + 2576),
    ]
    assert [each["state"] for each in found["dunning"]] == ["current"]


@pytest.mark.parametrize(("file", "shown"), SHOWN, ids=[Path(file).stem for file, _ in SHOWN])
def test_the_guide_shows_what_is_printed(
    file: str, shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["simulate", str(HOUSE / file)]) == 0
    output = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert missing_lines(shown, output) == []


def test_the_guide_shows_every_scenario() -> None:
    assert sorted(Path(file).stem for file, _ in SHOWN) == NAMES


def test_lines_that_are_not_printed_are_found() -> None:
    output = ["a", "b", "c", "b", "d"]
    assert missing_lines(["a", "b", "...", "d"], output) == []
    assert missing_lines(["...", "c", "b"], output) == []
    assert missing_lines(["a", "c"], output) == ["c"]
    assert missing_lines(["b", "...", "a"], output) == ["a"]
    assert missing_lines(["x"], output) == ["x"]


def test_the_guide_has_every_key_of_the_policy_and_every_verb() -> None:
    rows = [line for line in GUIDE.splitlines() if line.startswith("| `")]
    assert rows == [*policy_rows(), *verb_rows()]


def test_the_scenario_that_the_guide_begins_with_can_be_played(tmp_path: Path) -> None:
    document = GUIDE.split("```yaml\n")[1].split("```")[0]
    file = tmp_path / "scenario.yaml"
    file.write_text(document.replace("../catalog.yaml", str(HOUSE / "examples" / "catalog.yaml")))
    source = read_scenario_file(file)
    assert totals(report(play(source.scenario, source.catalog))) == totals(played("upgrade-mid-month"))


def test_a_year_of_a_subscriber() -> None:
    found = played("a-year-of-a-subscriber")
    # 49.90 in parts by weight, 34.93 of print at no tax and 14.97 of digital: 4 % 0.60, 4.875 % 0.73
    both = 4990 + 60 + 73
    assert totals(found) == [
        # three intro months, and the full price
        *(109, 109, 109, NEW_YORK_12),
        # law 4: 9 of 30 days of both parts, 10.48 and 4.49, less as many of 12.00
        1048 + 449 + 18 + 22 - (360 + 14 + 18),
        *(both, both),
        # after the pause, 10 of 30 days: 11.64 + 4.99, and tax of the latter 0.20 + 0.24
        1164 + 499 + 20 + 24,
        both,
        # less the papers missed before: each its share of 34.93 for 26 issues, to the cent
        both - (5 * 134 + 3 * 135),
        both - 129,  # and the last, one of 27
        *(both, both, both),
    ]
    assert found["balance"] == 0
    assert [payment["status"] for payment in found["payments"]].count("failed") == 4
    # 24 of 30 days from the pause on
    assert sum(line[0] for line in credited(found)) == -(2794 + 1198)
