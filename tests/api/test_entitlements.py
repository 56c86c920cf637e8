"""Entitlements as a paywall meets them: the real API on a socket, over a real Postgres."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio
import uuid_utils

from domain.catalog import FeatureAllowance
from domain.entitlements import Because, Grant, SourceKind
from operations.catalog import load_catalog
from runtime.catalog_source import read_catalog_file
from storage.database import make_engine
from storage.entitlements import put_grants
from tests.api.served import NOBODY, database_with_keys
from tests.api.webhooks.hub import serving
from tests.conftest import PostgresForTests

EXAMPLE = Path(__file__).parents[2] / "examples" / "catalog.yaml"
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    url = database_with_keys(pg_server, "paywall", reads="entitlements:read")
    catalog = read_catalog_file(EXAMPLE).catalog
    engine = make_engine(url)
    load_catalog(engine, catalog)
    engine.dispose()
    with psycopg.connect(url) as connection:
        connection.execute(
            'update feature set metering = \'{"allowance": 2, "window": {"kind": "calendar_month"},'
            ' "registration_bonus": 1, "warn_when_left": 1}\' where code = \'archive\''
        )
    return url


@pytest_asyncio.fixture(scope="module")
async def api(url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(url, tmp_path_factory.mktemp("home")) as base:
        limits = httpx.Limits(max_connections=60)
        headers = {"Authorization": "Bearer mh_operator"}
        async with httpx.AsyncClient(base_url=base, headers=headers, limits=limits, timeout=60) as client:
            yield client


def account(
    url: str, *grants: tuple[str, int, int | None, FeatureAllowance | None], zone: str = "UTC"
) -> str:
    """An account with grants of (feature, days from now to its start, to its end, allowance); answers its id."""
    found = str(uuid_utils.uuid7())
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into account (id, external_key, currency, time_zone, locale) values (%s, %s, 'USD', %s, 'en')",
            (found, found, zone),
        )
        put_grants(
            connection,
            found,
            "live",
            [
                Grant(
                    found,
                    feature,
                    SourceKind.SUBSCRIPTION,
                    found,
                    NOW + timedelta(days=start),
                    None if end is None else NOW + timedelta(days=end),
                    allowance,
                    None if end is None else Because.PAUSED,
                )
                for feature, start, end, allowance in grants
            ],
            now=NOW,
        )
    return found


async def check(
    api: httpx.AsyncClient, subscriber: str, feature: str = "epaper", **more: str
) -> dict[str, Any]:
    answer = await api.get(
        "/v1/entitlements/check", params={"subscriber": subscriber, "feature": feature, **more}
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def use(api: httpx.AsyncClient, resource: str, feature: str = "epaper", **who: str) -> dict[str, Any]:
    answer = await api.post("/v1/entitlements/use", json={"feature": feature, "resource": resource, **who})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_grant_opens_the_paywall(api: httpx.AsyncClient, url: str) -> None:
    reader = account(url, ("epaper", -10, None, None))
    assert await check(api, reader) == {
        "allowed": True,
        "reason": "granted",
        "from": (NOW - timedelta(days=10)).isoformat().replace("+00:00", "Z"),
        "until": None,
        "because": None,
        "source": {"kind": "subscription", "id": reader},
        "allowance": None,
    }


@pytest.mark.parametrize(
    ("start", "end", "reason", "because"),
    [(-10, -1, "ended", "paused"), (3, None, "not_yet", None), (3, 9, "not_yet", "paused")],
)
async def test_a_grant_that_is_not_open_says_why(
    api: httpx.AsyncClient, url: str, start: int, end: int | None, reason: str, because: str | None
) -> None:
    reader = account(url, ("epaper", start, end, None))
    found = await check(api, reader)
    assert (found["allowed"], found["reason"], found["because"]) == (False, reason, because)
    assert datetime.fromisoformat(found["from"]) == NOW + timedelta(days=start)


async def test_another_instant_can_be_asked_for(api: httpx.AsyncClient, url: str) -> None:
    reader = account(url, ("epaper", -10, -1, None))
    then = (NOW - timedelta(days=5)).isoformat()
    assert (await check(api, reader, at=then))["allowed"]


async def test_grants_of_another_mode_feature_or_reader_do_not_count(
    api: httpx.AsyncClient, url: str
) -> None:
    reader = account(url, ("epaper", -10, None, None))
    assert (await check(api, reader, mode="test"))["reason"] == "no_grant"
    assert (await check(api, reader, "streaming-tv"))["reason"] == "no_grant"
    assert (await check(api, NOBODY))["reason"] == "no_grant"


async def test_a_feature_that_nobody_sells_is_not_found(api: httpx.AsyncClient) -> None:
    answer = await api.get("/v1/entitlements/check", params={"subscriber": NOBODY, "feature": "sport"})
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:masthead:problem:no_such_feature")
    answer = await api.post(
        "/v1/entitlements/use", json={"subscriber": NOBODY, "feature": "sport", "resource": "a"}
    )
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "params",
    [
        {"feature": "epaper"},
        {"feature": "epaper", "subscriber": "a", "visitor": "b"},
        {"feature": "No Code", "subscriber": "a"},
        {"feature": "epaper", "subscriber": "a\x00b"},
        {"feature": "epaper", "subscriber": "a", "at": "2026-01-01T00:00:00"},
        {"feature": "epaper", "subscriber": "a", "at": "0001-01-01T00:00:00Z"},
        {"feature": "epaper", "subscriber": "a", "more": "b"},
        {"feature": "epaper", "subscriber": "visitor:a"},
        {"subscriber": "a"},
    ],
)
async def test_what_cannot_be_meant_is_refused(api: httpx.AsyncClient, params: dict[str, str]) -> None:
    answer = await api.get("/v1/entitlements/check", params=params)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


async def test_scopes(api: httpx.AsyncClient) -> None:
    reader = {"Authorization": "Bearer mh_reader"}
    asked = {"subscriber": NOBODY, "feature": "epaper"}
    assert (await api.get("/v1/entitlements/check", params=asked, headers=reader)).status_code == 200
    body = {**asked, "resource": "a"}
    assert (await api.post("/v1/entitlements/use", json=body, headers=reader)).status_code == 403
    merge = {"visitor": "v", "subscriber": NOBODY}
    assert (await api.post("/v1/entitlements/merge", json=merge, headers=reader)).status_code == 403
    nobody = {"Authorization": "Bearer mh_nobody"}
    assert (await api.get("/v1/entitlements/check", params=asked, headers=nobody)).status_code == 401


async def test_reading_again_is_free_and_more_than_the_allowance_is_denied(
    api: httpx.AsyncClient, url: str
) -> None:
    reader = account(url, ("epaper", -10, None, FeatureAllowance(count=2)))
    first = await use(api, "one", subscriber=reader)
    assert (first["allowed"], first["counted"], first["reason"]) == (True, True, "allowance")
    next_month = (NOW.date().replace(day=1) + timedelta(days=32)).replace(day=1)
    assert first["allowance"] == {
        "count": 2,
        "used": 1,
        "left": 1,
        "next_free_on": next_month.isoformat(),
        "warn": False,
    }
    again = await use(api, "one", subscriber=reader)
    assert (again["allowed"], again["counted"], again["allowance"]["left"]) == (True, False, 1)
    await use(api, "two", subscriber=reader)
    denied = await use(api, "three", subscriber=reader)
    assert (denied["allowed"], denied["counted"], denied["reason"]) == (False, False, "allowance_used_up")
    assert (await use(api, "two", subscriber=reader))["allowed"]
    assert not (await check(api, reader))["allowed"]
    assert (await check(api, reader, resource="one"))["allowed"]
    assert not (await check(api, reader, resource="three"))["allowed"]


async def test_a_place_is_free_again_when_its_article_counts_no_more(
    api: httpx.AsyncClient, url: str
) -> None:
    window = {"kind": "rolling", "days": 7}
    reader = account(
        url,
        ("epaper", -90, None, FeatureAllowance.model_validate({"count": 1, "window": window})),
        zone="Pacific/Auckland",
    )
    await use(api, "one", subscriber=reader)
    assert not (await use(api, "two", subscriber=reader))["allowed"]
    with psycopg.connect(url) as connection:
        connection.execute(
            "update allowance_use set counted_on = counted_on - 7, free_on = free_on - 7 where subscriber = %s",
            (reader,),
        )
    assert (await use(api, "two", subscriber=reader))["counted"]
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select place, resource from allowance_use where subscriber = %s", (reader,)
        ).fetchall()
    assert rows == [(1, "two")]


@pytest.mark.parametrize("count", [1, 7, 49])
async def test_an_allowance_is_never_oversold_to_fifty_at_once(
    api: httpx.AsyncClient, url: str, count: int
) -> None:
    reader = account(url, ("epaper", -10, None, FeatureAllowance(count=count)))
    answers = await asyncio.gather(*(use(api, f"article-{no}", subscriber=reader) for no in range(50)))
    assert Counter((each["allowed"], each["counted"]) for each in answers) == {
        (True, True): count,
        (False, False): 50 - count,
    }
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select place, resource from allowance_use where subscriber = %s order by place", (reader,)
        ).fetchall()
    assert [place for place, _ in rows] == list(range(1, count + 1))
    assert len({resource for _, resource in rows}) == count


async def test_fifty_who_read_one_article_at_once_count_it_once(api: httpx.AsyncClient, url: str) -> None:
    reader = account(url, ("epaper", -10, None, FeatureAllowance(count=3)))
    answers = await asyncio.gather(*(use(api, "the-same", subscriber=reader) for _ in range(50)))
    assert all(each["allowed"] for each in answers)
    assert sum(each["counted"] for each in answers) == 1
    assert (await check(api, reader))["allowance"]["used"] == 1


async def test_what_is_not_metered_is_not_counted(api: httpx.AsyncClient, url: str) -> None:
    reader = account(url, ("epaper", -10, None, None))
    found = await use(api, "one", subscriber=reader)
    assert (found["allowed"], found["counted"], found["allowance"]) == (True, False, None)
    with psycopg.connect(url) as connection:
        assert (
            connection.execute("select from allowance_use where subscriber = %s", (reader,)).fetchall() == []
        )


async def test_who_has_no_grant_reads_what_the_feature_gives_to_all(api: httpx.AsyncClient) -> None:
    found = [await use(api, name, "archive", visitor="v-free") for name in ("a", "b", "c")]
    assert [(each["allowed"], each["allowance"]["left"]) for each in found] == [
        (True, 1),
        (True, 0),
        (False, 0),
    ]
    assert found[0]["allowance"]["warn"]
    assert [(await use(api, name, "archive", subscriber="r-free"))["allowed"] for name in "abcd"] == [
        *([True] * 3),
        False,
    ]
    assert not (await use(api, "a", "epaper", visitor="v-free"))["allowed"]


async def test_at_login_the_visitors_count_merges_and_does_not_begin_anew(api: httpx.AsyncClient) -> None:
    await use(api, "a", "archive", visitor="v-merge")
    await use(api, "b", "archive", visitor="v-merge")
    await use(api, "b", "archive", subscriber="r-merge")
    await use(api, "c", "archive", subscriber="r-merge")
    order = {"visitor": "v-merge", "subscriber": "r-merge"}
    merged = [(await api.post("/v1/entitlements/merge", json=order)).json() for _ in range(2)]
    assert merged[0] == merged[1]
    assert merged[0]["allowances"]["archive"]["used"] == 3
    assert not (await use(api, "d", "archive", subscriber="r-merge"))["allowed"]
    assert (await use(api, "a", "archive", subscriber="r-merge"))["allowed"]
    assert not (await use(api, "z", "archive", visitor="v-merge"))["allowed"]


async def test_merging_may_fill_more_than_the_allowance_and_then_nothing_is_left(
    api: httpx.AsyncClient,
) -> None:
    for name in "ab":
        await use(api, name, "archive", visitor="v-full")
    for name in "cde":
        await use(api, name, "archive", subscriber="r-full")
    order = {"visitor": "v-full", "subscriber": "r-full", "feature": "archive"}
    merged = (await api.post("/v1/entitlements/merge", json=order)).json()
    assert (merged["allowances"]["archive"]["used"], merged["allowances"]["archive"]["left"]) == (5, 0)


async def test_an_account_shows_its_grants(api: httpx.AsyncClient, url: str) -> None:
    reader = account(url, ("epaper", -10, None, FeatureAllowance(count=2)), ("streaming-tv", -20, -10, None))
    answer = await api.get("/v1/entitlements", params={"account_id": reader})
    items = answer.json()["items"]
    assert [(each["feature"], each["because"], each["version"]) for each in items] == [
        ("epaper", None, 1),
        ("streaming-tv", "paused", 1),
    ]
    assert items[0]["allowance"] == {"count": 2, "window": {"kind": "calendar_month"}}
    assert (await api.get("/v1/entitlements", params={"account_id": NOBODY})).status_code == 404
