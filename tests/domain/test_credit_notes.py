"""Credit notes: whole, by line, by amount; with the tax that was billed and never more than is left (laws 5, 9)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.credit_notes import (
    CreditNote,
    CreditNoteError,
    Heading,
    by_amount,
    by_line,
    charges_of,
    credit_note,
    whole,
)
from domain.credits import BilledLine, CreditLine, TaxAmount, TooMuchCredit, credit_time, left_of
from tests.domain.billed import INVOICE, amounts, billed, invoices, month, taxes

HEAD = Heading("CN-7", date(2026, 2, 3), "billed twice")


def back(key: str, net: int, **tax: int) -> CreditLine:
    return CreditLine(key, "adjustment", None, None, net, taxes(**tax))


def parts(lines: tuple[CreditLine, ...]) -> list[tuple[str, tuple[int, ...]]]:
    return [(line.corrects, amounts(line)) for line in lines]


PAPER = billed(1000, "paper", State=80, City=45)
SITE = billed(500, "site", State=40)
GIVEN = billed(-300, "unused", State=-24)
INVOICE_LINES = [PAPER, SITE]


def test_a_whole_credit_gives_back_every_charge_with_its_tax() -> None:
    # laws 5, 9
    note = credit_note(HEAD, INVOICE_LINES, [], whole(INVOICE_LINES, []))
    assert note == CreditNote(
        INVOICE,
        "CN-7",
        date(2026, 2, 3),
        "billed twice",
        (back("paper", -1000, State=-80, City=-45), back("site", -500, State=-40)),
    )
    assert (note.net, note.tax, note.gross, note.amount) == (-1500, -165, -1665, 1665)


def test_the_tax_of_a_note_is_told_by_jurisdiction_and_rate() -> None:
    reduced = replace(SITE, taxes=(*SITE.taxes, TaxAmount("City", Decimal("0.05"), 25)))
    note = credit_note(HEAD, [PAPER, reduced], [], whole([PAPER, reduced], []))
    assert note.taxes == (
        TaxAmount("State", Decimal("0.1"), -120),
        TaxAmount("City", Decimal("0.1"), -45),
        TaxAmount("City", Decimal("0.05"), -25),
    )


def test_a_whole_credit_gives_back_the_time_as_well() -> None:
    line = month(1000)
    (rest,) = whole([line], [])
    assert (rest.start, rest.end) == (line.start, line.end)


def test_a_whole_credit_after_others_is_what_they_left() -> None:
    credits = [back("paper", -1000, State=-80, City=-44), back("site", -500, State=-40)]
    assert parts(whole(INVOICE_LINES, credits)) == [("paper", (0, 0, -1))]
    assert whole(INVOICE_LINES, [*credits, back("paper", 0, City=-1)]) == ()


def test_the_credits_on_an_invoice_are_not_credited() -> None:
    # They correct another document (law 9); a line that cost nothing has nothing to give back.
    free = billed(0, "free", State=0)
    assert charges_of([PAPER, GIVEN, free, SITE]) == [PAPER, SITE]
    # Of a line of one unit, that unit.
    assert charges_of([billed(1), billed(0, A=1)]) == [billed(1), billed(0, A=1)]
    assert parts(whole([PAPER, GIVEN], [])) == [("paper", (-1000, -80, -45))]
    assert parts(by_amount([PAPER, GIVEN], [], 1125)) == [("paper", (-1000, -80, -45))]


def test_lines_are_credited_by_amount_or_whole() -> None:
    # law 5: 225 is a fifth of 1000 + 80 + 45.
    lines = by_line(INVOICE_LINES, [], {"site": None, "paper": 225})
    assert parts(lines) == [("site", (-500, -40)), ("paper", (-200, -16, -9))]
    assert all(line.kind == "adjustment" and line.start is None for line in lines)


@pytest.mark.parametrize(
    ("gross", "split"),
    [
        (1, (-1, 0, 0)),  # 0.89, 0.07, 0.04
        (12, (-11, -1, 0)),  # 10.67, 0.85, 0.48
        (13, (-12, -1, 0)),  # 11.56, 0.92, 0.52: the net amount has the larger rest
        (14, (-12, -1, -1)),  # 12.44, 1.00 (0.996), 0.56
        (1124, (-999, -80, -45)),  # 999.11, 79.93, 44.96
        (1125, (-1000, -80, -45)),
    ],
)
def test_an_amount_on_a_line_is_split_by_largest_remainder(gross: int, split: tuple[int, ...]) -> None:
    # law 5
    assert parts(by_line([PAPER], [], {"paper": gross})) == [("paper", split)]


def test_where_rests_are_equal_the_net_amount_goes_first() -> None:
    line = billed(1, A=1, B=1)
    assert parts(by_line([line], [], {"line": 1})) == [("line", (-1, 0, 0))]
    assert parts(by_line([line], [back("line", -1, A=0, B=0)], {"line": 1})) == [("line", (0, -1, 0))]


@pytest.mark.parametrize("gross", [0, -1, 541])
def test_an_amount_on_a_line_is_above_zero_and_at_most_what_is_left(gross: int) -> None:
    # law 5
    with pytest.raises(TooMuchCredit, match=rf"^{gross} is to be credited of line site.*and 540 is left"):
        by_line(INVOICE_LINES, [], {"site": gross})
    assert parts(by_line(INVOICE_LINES, [], {"site": 540})) == [("site", (-500, -40))]


@pytest.mark.parametrize("gross", [None, 1])
def test_a_line_with_nothing_left_cannot_be_credited_again(gross: int | None) -> None:
    with pytest.raises(TooMuchCredit, match=r"(all|1) is to be credited of line site.* 0 is left"):
        by_line(INVOICE_LINES, [back("site", -500, State=-40)], {"site": gross})


@pytest.mark.parametrize("key", ["unused", "elsewhere"])
def test_only_charges_of_the_invoice_can_be_named(key: str) -> None:
    with pytest.raises(CreditNoteError, match=f"{key} is no charge of this invoice"):
        by_line([PAPER, GIVEN], [], {key: None})


@pytest.mark.parametrize(
    ("gross", "split"),
    [
        # 1125 and 540 of 1665 are left
        (333, [("paper", (-200, -16, -9)), ("site", (-100, -8))]),  # 225 + 108
        (1, [("paper", (-1, 0, 0))]),  # 0.68 and 0.32: no line of nothing for the site
        (1665, [("paper", (-1000, -80, -45)), ("site", (-500, -40))]),
    ],
)
def test_an_amount_is_spread_over_the_lines(gross: int, split: list[tuple[str, tuple[int, ...]]]) -> None:
    # law 5
    assert parts(by_amount(INVOICE_LINES, [], gross)) == split


def test_an_amount_is_spread_by_what_is_left() -> None:
    # 125 of the paper and 540 of the site are left; 133 is a fifth.
    credits = [back("paper", -1000)]
    assert parts(by_amount(INVOICE_LINES, credits, 133)) == [
        ("paper", (0, -16, -9)),
        ("site", (-100, -8)),
    ]


def test_of_equal_lines_the_earlier_one_gets_the_odd_unit() -> None:
    lines = [billed(10, "first"), billed(10, "second")]
    assert parts(by_amount(lines, [], 3)) == [("first", (-2,)), ("second", (-1,))]


@pytest.mark.parametrize("gross", [0, -5, 1666])
def test_an_amount_is_above_zero_and_at_most_what_is_left_in_all(gross: int) -> None:
    # law 5
    with pytest.raises(TooMuchCredit, match=f"{gross} minor units are to be credited and 1665 are left"):
        by_amount(INVOICE_LINES, [], gross)


def test_a_line_with_a_tax_the_other_way_is_credited_whole_only() -> None:
    # An outside tax engine may answer a relief beside a tax.
    line = billed(100, State=10, Relief=-3)
    with pytest.raises(TooMuchCredit, match="credit all that is left of it"):
        by_amount([line], [], 50)
    note = credit_note(HEAD, [line], [], by_line([line], [], {"line": None}))
    assert parts(note.lines) == [("line", (-100, -10, 3))]


def test_a_note_over_time() -> None:
    line = month(3100, State=310)
    credit = credit_time(line, [], date(2026, 1, 22), date(2026, 2, 1))
    assert credit is not None
    assert credit_note(HEAD, [line], [], [credit]).amount == 1100


@pytest.mark.parametrize("heading", [HEAD._replace(number=" "), HEAD._replace(reason="\t")])
def test_a_note_needs_number_and_reason(heading: Heading) -> None:
    with pytest.raises(CreditNoteError, match="needs its number and a reason"):
        credit_note(heading, [PAPER], [], whole([PAPER], []))


@pytest.mark.parametrize("lines", [[], [PAPER, replace(SITE, document="another")]])
def test_a_note_corrects_one_invoice(lines: list[BilledLine]) -> None:
    # law 9: it links back to the document
    with pytest.raises(CreditNoteError, match=f"corrects one invoice, not {len(lines)}"):
        credit_note(HEAD, lines, [], ())


def test_a_note_of_nothing_is_refused() -> None:
    with pytest.raises(CreditNoteError, match="nothing is left to be credited on invoice invoice-1"):
        credit_note(HEAD, [PAPER], [], [])


def test_a_note_of_one_unit_is_a_note() -> None:
    assert credit_note(HEAD, [PAPER], [], [back("paper", 0, City=-1)]).amount == 1


@pytest.mark.parametrize("key", ["unused", "elsewhere"])
def test_a_note_credits_charges_of_its_invoice_only(key: str) -> None:
    with pytest.raises(CreditNoteError, match=f"{key} is no charge of invoice invoice-1"):
        credit_note(HEAD, [PAPER, GIVEN], [], [back(key, -1)])


def test_a_tax_that_was_not_billed_is_not_credited() -> None:
    # law 5
    with pytest.raises(CreditNoteError, match="no tax of County was billed on line site"):
        credit_note(HEAD, [SITE], [], [back("site", -1, County=-1)])


@pytest.mark.parametrize(
    ("credit", "message"),
    [
        (
            back("site", -401, State=0),
            "401 minor units (net) are to be credited on line site, and 400 are left",
        ),
        (
            back("site", 0, State=-33),
            "33 minor units (State) are to be credited on line site, and 32 are left",
        ),
        (
            back("site", -10, State=1),
            "-1 minor units (State) are to be credited on line site, and 32 are left",
        ),
        (
            back("site", 1, State=-10),
            "-1 minor units (net) are to be credited on line site, and 400 are left",
        ),
    ],
)
def test_no_part_of_a_line_is_credited_beyond_what_is_left(credit: CreditLine, message: str) -> None:
    # law 5
    earlier = [back("site", -100, State=-8)]
    with pytest.raises(TooMuchCredit) as refused:
        credit_note(HEAD, [SITE], earlier, [credit])
    assert message in str(refused.value)
    assert credit_note(HEAD, [SITE], earlier, [back("site", -400, State=-32)]).amount == 432


def test_a_part_that_is_credited_whole_has_not_a_unit_left() -> None:
    # law 5
    with pytest.raises(
        TooMuchCredit, match=r"1 minor units \(net\) are to be credited on line site, and 0 are left"
    ):
        credit_note(HEAD, [SITE], [back("site", -500)], [back("site", -1)])


def test_two_credits_of_one_note_count_together() -> None:
    # law 5
    with pytest.raises(TooMuchCredit):
        credit_note(HEAD, [SITE], [], [back("site", -300, State=0), back("site", -201, State=0)])
    assert credit_note(HEAD, [SITE], [], [back("site", -300), back("site", -200)]).amount == 500


def left_in_all(lines: list[BilledLine], credits: list[CreditLine]) -> int:
    return sum(left_of(line, credits).gross for line in lines)


@given(
    invoices(), st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(1, 200_000)), max_size=8)
)
def test_any_sequence_of_notes_stays_within_what_was_billed_and_a_whole_one_leaves_zero(
    lines: list[BilledLine], steps: list[tuple[int, int, int]]
) -> None:
    # laws 5, 9: as billed, on each line, on each tax, and in all
    credits: list[CreditLine] = []
    total = sum(line.gross for line in lines)
    before = list(lines)
    for way, place, size in [*steps, (2, 0, 0)]:
        line = lines[place % len(lines)]
        left = left_of(line, credits).gross if way == 0 else left_in_all(lines, credits)
        if not left:
            continue
        amount = 1 + size % left
        if way == 0:
            new = by_line(lines, credits, {line.key: amount})
        elif way == 1:
            new = by_amount(lines, credits, amount)
        else:
            amount, new = left, whole(lines, credits)
        note = credit_note(HEAD, lines, credits, new)
        assert note.amount == amount
        assert sum(tax.amount for tax in note.taxes) == note.tax
        credits.extend(note.lines)
        for each in lines:
            credited = [amounts(credit) for credit in credits if credit.corrects == each.key]
            for billed_part, *given_back in zip(amounts(each), *credited, strict=True):
                assert all(part <= 0 for part in given_back)
                assert -sum(given_back) <= billed_part
        assert -sum(credit.gross for credit in credits) <= total
    assert -sum(credit.gross for credit in credits) == total
    assert all(set(amounts(left_of(line, credits))) == {0} for line in lines)
    assert whole(lines, credits) == ()
    assert lines == before


@given(invoices(), st.integers(1, 10**6))
def test_each_part_of_an_amount_is_within_two_units_of_its_share(lines: list[BilledLine], size: int) -> None:
    # law 5: the tax goes back in proportion. One unit for the spread over lines, one for the split of the line.
    total = sum(line.gross for line in lines)
    gross = 1 + size % total
    by_key = {line.corrects: line for line in by_amount(lines, [], gross)}
    assert -sum(line.gross for line in by_key.values()) == gross
    for line in lines:
        credited = amounts(by_key[line.key]) if line.key in by_key else (0,) * len(amounts(line))
        for whole_part, part in zip(amounts(line), credited, strict=True):
            assert abs(-part * total - whole_part * gross) < 2 * total
