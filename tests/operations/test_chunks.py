"""How a bill run is cut where nobody says how."""

from __future__ import annotations

import pytest

from bench.fleet import DUE
from operations.billrun.scope import Scope
from storage.bill_runs import Cut, cut_sql
from storage.billable import Target
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.operations.billed import bench_fleet


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return bench_fleet(pg_server, [], accounts=1201)


@pytest.mark.parametrize(
    ("cut", "sizes"),
    [
        pytest.param(Cut(500, 8, 12_500), [500, 500, 201], id="as somebody says"),
        pytest.param(Cut(0, 2, 12_500), [601, 600], id="in equal parts"),
        pytest.param(Cut(0, 8, 12_500), [250, 250, 250, 250, 201], id="none too small"),
        pytest.param(Cut(0, 2, 500), [500, 500, 201], id="none too large"),
    ],
)
def test_a_selection_is_cut(url: str, cut: Cut, sizes: list[int]) -> None:
    engine = make_engine(url)
    sql, parameters = Scope.parse("all").sql()
    target = Target(DUE, None, None)
    with transaction(engine) as connection:
        found = connection.execute(
            f"with {cut_sql(target, sql)} select no, accounts from cut order by no".encode(),
            {"mode": "live", "target": target.parameter, **cut._asdict(), **parameters},
        ).fetchall()
    engine.dispose()
    assert [len(accounts) for _, accounts in found] == sizes
    assert [no for no, _ in found] == list(range(len(sizes)))
    listed = [each for _, accounts in found for each in accounts]
    assert listed == sorted(set(listed))
