"""The rating bench: what it rates is an ordinary month, and its exit code follows its bar."""

from __future__ import annotations

import json
from datetime import date

import pytest

from bench import rating
from runtime.cli.app import run

MONTH = (date(2027, 3, 15), date(2027, 4, 15))


def test_the_two_bill_the_same_month_for_the_same_price() -> None:
    book, terms = rating.ordinary()
    answer = rating.rated(1, book, terms)
    assert answer is not None
    assert [(line.kind, line.period_start, line.period_end, line.amount) for line in answer.lines] == [
        ("recurring", *MONTH, 1799)
    ]
    assert (answer.charged_through, answer.next_bill_on) == (MONTH[1], MONTH[1])
    yardstick = rating.bare(1, terms.items[0])
    # 19 % of 17.99 is 3.4181
    assert (yardstick.period_start, yardstick.period_end, yardstick.amount, yardstick.tax) == (
        *MONTH,
        1799,
        342,
    )


@pytest.mark.parametrize(("bar", "code"), [(1e9, 0), (1e-9, 1)])
def test_the_command_prints_figures_and_fails_above_the_bar(
    bar: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rating, "BAR", bar)
    assert run(["bench", "rating", "--rounds", "2", "--json"]) == code
    figures = json.loads(capsys.readouterr().out)
    assert (figures["bar"], figures["reached"], figures["rounds"]) == (bar, code == 0, 2)
    # The two are rounded to a nanosecond, which is much of the bare loop's.
    assert figures["ratio"] == pytest.approx(figures["us_per_rating"] / figures["us_bare"], rel=0.01)
    slower, faster = figures["share_of_invoice"]
    assert 0 < slower < faster
