"""What a system has answered is not lost because the database cannot take it at that moment."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Engine

from contracts.connector_call import CallStatus
from storage.database import make_engine
from tests.activities.acme import Vendor, running_vendor
from tests.activities.calling import Tries, prepare
from tests.conftest import PostgresForTests


@pytest.fixture
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("call_stored")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = make_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with running_vendor() as vendor:
        yield vendor


def refuse_answers(url: str, times: int) -> None:
    """Let the database break off the first `times` attempts to store an answer, as it does when it is stopped."""
    with psycopg.connect(url) as connection:
        connection.execute("create sequence refusals")
        connection.execute(
            f"""
            create function refuse_answer() returns trigger language plpgsql as $$
            begin
                if new.status = 'succeeded' and nextval('refusals') <= {times} then
                    raise exception 'terminating connection' using errcode = '57P01';
                end if;
                return new;
            end $$
            """
        )
        connection.execute(
            "create trigger refuse_answer before update on connector_call for each row execute function refuse_answer()"
        )


@pytest.mark.parametrize("to", ["pay", "ship", "mail"])
async def test_an_answer_is_held_until_the_database_is_back(
    url: str, vendor: Vendor, to: str, engine: Engine
) -> None:
    refuse_answers(url, 2)
    ref = prepare(engine, to).ref
    outcome = await Tries(engine, vendor.url).once(ref)
    assert outcome.status is CallStatus.SUCCEEDED
    assert len(vendor.effects) == 1
    with psycopg.connect(url) as connection:
        parked = connection.execute("select count(*) from parked").fetchone()
    assert parked == (0,)
