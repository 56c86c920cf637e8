"""Refunds that the ledger does not know of are found by verification."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from operations.verify import verify
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.workflows.refunding import Till


@pytest.fixture
def till(pg_server: PostgresForTests) -> Iterator[Till]:
    engine = make_engine(pg_server.fresh_database("refund_law"))
    yield Till(engine, None, {})  # type: ignore[arg-type]  # no workflow runs here
    engine.dispose()


def broken(till: Till) -> list[str]:
    return [
        violation.what for law in verify(till.engine) if law.law == "refunds" for violation in law.violations
    ]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            "update refund set status = 'succeeded', promise = 'paid', ended_at = now()",
            ["refunds payable stands at"],
        ),
        ("update payment set refunded = 0", ["as refunded, and its refunds are"]),
        ("delete from refund", ["refunds payable stands at"]),
    ],
)
def test_a_promise_that_is_not_in_the_ledger(till: Till, damage: str, said: list[str]) -> None:
    account, total = till.invoiced()
    till.ask(till.settled(account, total, "cards", "pi_1"), "2.00")
    assert broken(till) == []
    with transaction(till.engine) as connection:
        connection.execute(damage.encode())
    assert [words in found for words, found in zip(said, broken(till), strict=True)] == [True]
