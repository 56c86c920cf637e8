"""The whole OpenAPI document against the real API and database: whatever is sent, nothing fails inside, what the
document does not allow is refused, and every answer is as it says. A new operation is covered as soon as it exists."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, CheckContext, GenerationMode, Response, checks
from schemathesis.config import SchemathesisConfig
from schemathesis.python.asgi import shutdown_lifespans

from api.app import create_app
from operations.mails.compose import token_hash
from storage.encryption import new_key
from storage.payment_links import keep_payment_link
from tests.api.described import IDS, all_operations, example_body
from tests.api.served import NOBODY, NOWHERE
from tests.api.world import World, build_world, settings_for, with_key
from tests.conftest import PostgresForTests
from tests.temporal_server import TemporalServer

# Checks that come with schemathesis and are left out here, each with the reason.
EXCLUDED = {
    "not_a_server_error": "no_failure_inside below is stricter in all but one thing: where Temporal is away, routes "
    "that need it answer 503 temporal_away. It is there in the deep tests, and then nothing is allowed",
    "positive_data_acceptance": "what the schema allows may be refused by what is in the books: a currency that is "
    "none, a code that the catalog has not, a version that has moved",
    "missing_required_header": "it knows no 428 Precondition Required (RFC 6585); tests/api/test_headers.py asks each "
    "operation for it",
    "use_after_free": "for sequences of calls",
    "ensure_resource_availability": "for sequences of calls",
    "object_level_authorization": "for sequences of calls; tests/api/test_other_accounts.py asks each operation for it",
}
# Operations that take nothing which could be wrong: no parameter, or a link's token, which may be any text.
NOTHING_WRONG = ("/health", "/health/live", "/health/ready", "/unsubscribe/{token}", "/pay/{token}")

EXAMPLES = 6  # an operation and mode
DEEP_EXAMPLES = 40
TOKEN = "a-token-that-stands-in-links-of-mails"
_AWAY = "temporal_away"
OPERATIONS = [each[:2] for each in all_operations()]
REQUESTS = [
    (method, path, mode)
    for method, path in OPERATIONS
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or path not in NOTHING_WRONG
]


@schemathesis.check
def no_failure_inside(_: CheckContext, response: Response, case: Case) -> None:
    """No 5xx but for Temporal being away, and every refusal a problem with its kind and remedy; or a page."""
    path = case.operation.path
    if response.status_code < 400 or (response.status_code == 503 and path in ("/health", "/health/ready")):
        return
    if response.headers["content-type"][0].startswith("text/html"):
        assert response.status_code in (404, 410), case
        return
    problem = response.json()
    assert problem["kind"], case
    assert problem["remedy"], case
    assert response.status_code < 500 or problem["kind"] == _AWAY, problem


@schemathesis.check
def temporal_is_asked(_: CheckContext, response: Response, case: Case) -> None:
    """No 5xx at all, for where Temporal is there."""
    assert response.status_code < 500, case


checks.load_all_checks()
OWN = {"temporal_is_asked"}
CHOSEN = [
    checks.CHECKS.get_one(name) for name in checks.CHECKS.get_all_names() if name not in {*EXCLUDED, *OWN}
]


@pytest.fixture(scope="module")
def world(pg_server: PostgresForTests) -> World:
    world = build_world(pg_server, "document")
    with psycopg.connect(world.url) as connection:
        keep_payment_link(connection, token_hash(TOKEN), world.mine.account, 30)
        connection.execute(
            "insert into mail (id, mode, event_key, template, account_id, subject_id, version, unsubscribe_hash)"
            " values (gen_random_uuid(), 'live', 'offer', 'offer', %s, %s, 1, %s)",
            (world.mine.account, world.mine.account, token_hash(TOKEN)),
        )
    return world


def ids_of(world: World) -> dict[str, str]:
    """What is there for the parameters of the document, by their names."""
    return {name: getattr(world.mine, field) for name, field in IDS.items()} | {
        "token": TOKEN,
        "code": "reader",
    }


def document_of(world: World, home: Path, temporal: str = NOWHERE) -> Any:
    app = create_app(settings_for(world.url, home, temporal, MASTHEAD_SECRET_KEY=new_key()))
    # A wrong key would be taken for wrong data, though the right one is sent.
    keyless = SchemathesisConfig.from_dict({"generation": {"with-security-parameters": False}})
    return schemathesis.openapi.from_asgi("/openapi.json", app, config=keyless)


@pytest.fixture(scope="module")
def document(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield document_of(world, tmp_path_factory.mktemp("document"))
    shutdown_lifespans()


@pytest.fixture(scope="module")
def document_with_temporal(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The same with a Temporal server of its own, so that no generated run goes on in one that other tests share."""
    home = tmp_path_factory.mktemp("temporal")
    server = TemporalServer(home)
    asyncio.run(server.start())
    yield document_of(world, home, server.address)
    shutdown_lifespans()
    server.kill()


def example(operation: Any, world: World) -> tuple[Case, bool]:
    """The operation's example, and whether all that it names is there."""
    method, path = operation.method, operation.path
    ids = ids_of(world) | {"external_key": f"{method} {path}"}
    names = [each["name"] for each in operation.definition.raw.get("parameters", ()) if each["in"] == "path"]
    case = operation.Case(
        path_parameters={name: ids.get(name, NOBODY) for name in names},
        query={
            name: ids.get(name, value)
            for name, value in operation.definition.raw.get("x-example-query", {}).items()
        },
        headers={"If-Match": "*", "Idempotency-Key": f"{method} {path}".replace(" ", "-")},
    )
    body = example_body(method, path)
    if body is not None:
        case.body = {name: ids.get(name, value) for name, value in body.items()}
        case.media_type = "application/json"
    return case, all(name in ids for name in names)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_the_examples_of_the_document_can_be_sent(
    document: Any, world: World, method: str, path: str
) -> None:
    """With ids that are there; what is of no account has none here, and is 404."""
    case, there = example(document[path][method], world)
    if path.startswith("/v1/dunning-cases/{"):
        with psycopg.connect(
            world.url
        ) as connection:  # the operations before may have left nothing to dun for
            connection.execute(
                "update dunning_case set closed_at = null, outcome = null where account_id = %s",
                (world.mine.account,),
            )
    answer = case.call_and_validate(headers=with_key("operator"), checks=CHOSEN)
    if path.startswith("/health"):
        assert answer.status_code in (200, 503)
    elif there:
        # A command may be refused by the rules, and those above it may have ended the subscription.
        fine = (_AWAY, "refused", "too_late")
        assert answer.status_code < 400 or answer.json()["kind"] in fine, answer.text


@pytest.mark.parametrize(("method", "path", "mode"), REQUESTS)
def test_whatever_is_sent_is_answered_as_the_document_says(
    document: Any, world: World, method: str, path: str, mode: GenerationMode
) -> None:
    send(document[path][method], world, mode, EXAMPLES)


@pytest.mark.deep
@pytest.mark.parametrize(("method", "path", "mode"), REQUESTS)
def test_so_it_is_with_temporal_there(
    document_with_temporal: Any, world: World, method: str, path: str, mode: GenerationMode
) -> None:
    """Runs and checkouts are begun and joined, and then nothing answers 5xx. Not reached are the answers of running
    workflows, for no worker carries anything out: test_bill_runs.py, test_payment_runs.py, test_checkouts.py and
    test_refunds.py have them; nor the webhooks of vendors, whose bodies are in no document:
    tests/operations/webhooks_in has them."""
    send(document_with_temporal[path][method], world, mode, DEEP_EXAMPLES, temporal_is_asked)


@pytest.mark.deep
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "/health", 200),
        ("get", "/health/ready", 200),
        ("post", "/v1/bill-runs", 202),
        ("post", "/v1/payment-runs", 202),
        ("post", "/v1/checkouts", 202),
    ],
)
def test_what_needs_temporal_is_begun_there(
    document_with_temporal: Any, world: World, method: str, path: str, status: int
) -> None:
    case, _ = example(document_with_temporal[path][method], world)
    case.query = {"wait": 0} if path == "/v1/checkouts" else {}
    answer = case.call_and_validate(headers=with_key("operator"), checks=[*CHOSEN, temporal_is_asked])
    assert answer.status_code == status, answer.text


def send(operation: Any, world: World, mode: GenerationMode, examples: int, *more: Any) -> None:
    """Send `examples` requests that the document allows, or does not, and check the answers. What is allowed is asked
    of what is there, and not waited for."""
    asked = {}
    if mode is GenerationMode.POSITIVE:
        names = [each["name"] for each in operation.definition.raw.get("parameters", ())]
        there = {name: value for name, value in ids_of(world).items() if f"{{{name}}}" in operation.path}
        asked = {"path_parameters": there, "query": {"wait": 0} if "wait" in names else {}}

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode, **asked))
    def whatever(case: Case) -> None:
        case.call_and_validate(headers=with_key("operator"), checks=[*CHOSEN, *more])

    whatever()
