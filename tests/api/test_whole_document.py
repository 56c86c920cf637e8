"""The whole OpenAPI document against the real API and database: whatever is sent, nothing fails inside, and every
answer is as the document says. A new operation is covered as soon as it exists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, CheckContext, Response, checks
from schemathesis.python.asgi import shutdown_lifespans

from api.app import create_app
from storage.encryption import new_key
from tests.api.described import IDS, example_body, operations
from tests.api.served import NOBODY
from tests.api.world import World, build_world, settings_for, with_key
from tests.conftest import PostgresForTests

# Checks that come with schemathesis and are left out here, each with the reason.
EXCLUDED = {
    "not_a_server_error": "no_failure_inside below is stricter in all but one thing: Temporal is away here, so that no "
    "generated bill run goes on in a server that other tests share, and routes that need it answer 503 temporal_away",
    "positive_data_acceptance": "what the schema allows may be refused by what is in the books: a currency that is "
    "none, a code that the catalog has not, a version that has moved",
    "missing_required_header": "it knows no 428 Precondition Required (RFC 6585); test_accounts.py asks for it",
    "use_after_free": "for sequences of calls",
    "ensure_resource_availability": "for sequences of calls",
    "object_level_authorization": "for sequences of calls; tests/api/test_other_accounts.py asks each operation for it",
}


EXAMPLES = 20  # an operation


@schemathesis.check
def no_failure_inside(_: CheckContext, response: Response, case: Case) -> None:
    """No 5xx but for Temporal being away, and every refusal a problem with its kind and remedy."""
    if response.status_code >= 400:
        problem = response.json()
        assert problem["kind"], case
        assert problem["remedy"], case
        assert response.status_code < 500 or problem["kind"] == "temporal_away", problem


checks.load_all_checks()
CHOSEN = [checks.CHECKS.get_one(name) for name in checks.CHECKS.get_all_names() if name not in EXCLUDED]


@pytest.fixture(scope="module")
def world(pg_server: PostgresForTests) -> World:
    return build_world(pg_server, "document")


@pytest.fixture(scope="module")
def document(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home: Path = tmp_path_factory.mktemp("document")
    yield schemathesis.openapi.from_asgi(
        "/openapi.json", create_app(settings_for(world.url, home, MASTHEAD_SECRET_KEY=new_key()))
    )
    shutdown_lifespans()


@pytest.mark.parametrize(("method", "path"), [each[:2] for each in operations()])
def test_the_examples_of_the_document_can_be_sent(
    document: Any, world: World, method: str, path: str
) -> None:
    """With ids that are there; what is of no account has none here, and is 404."""
    operation = document[path][method]
    ids = {name: getattr(world.mine, field) for name, field in IDS.items()}
    ids["external_key"] = f"{method} {path}"
    names = [each["name"] for each in operation.definition.raw.get("parameters", ()) if each["in"] == "path"]
    case = operation.Case(
        path_parameters={name: ids.get(name, "reader" if name == "code" else NOBODY) for name in names},
        query={
            name: ids.get(name, value)
            for name, value in operation.definition.raw.get("x-example-query", {}).items()
        },
        headers={"If-Match": "*", "Idempotency-Key": f"{method} {path}".replace(" ", "-")},
    )
    if path.startswith("/v1/dunning-cases/{"):
        with psycopg.connect(
            world.url
        ) as connection:  # the operations before may have left nothing to dun for
            connection.execute(
                "update dunning_case set closed_at = null, outcome = null where account_id = %s",
                (world.mine.account,),
            )
    body = example_body(method, path)
    if body is not None:
        case.body = {name: ids.get(name, value) for name, value in body.items()}
        case.media_type = "application/json"
    answer = case.call_and_validate(headers=with_key("operator"), checks=CHOSEN)
    if all(name in ids or name == "code" for name in names):
        # A command may be refused by the rules, and those above it may have ended the subscription.
        fine = ("temporal_away", "refused", "too_late")
        assert answer.status_code < 300 or answer.json()["kind"] in fine, answer.text


@pytest.mark.parametrize(("method", "path"), [each[:2] for each in operations()])
def test_whatever_is_sent_is_answered_as_the_document_says(document: Any, method: str, path: str) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=document[path][method].as_strategy())
    def whatever(case: Case) -> None:
        case.call_and_validate(headers=with_key("operator"), checks=CHOSEN)

    whatever()
