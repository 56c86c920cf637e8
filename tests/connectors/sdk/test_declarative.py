"""Declarative connectors: they keep the whole kit, and what is wrong in a file is told with its line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.capabilities.crm import CrmKind, CrmRecord
from connectors.sdk.connector import Connector
from connectors.sdk.key import Key
from connectors.sdk.memory import memory_context
from connectors.sdk.registry import installed
from connectors.sdk.testing.case import Case
from connectors.sdk.testing.suite import bench, cases, judge
from connectors.sdk.values import RecordStatus
from runtime.connector_source import read_connector
from runtime.yaml_source import DocumentError
from sandbox.reference.stand_in import ReferenceStandIn

EXAMPLES = Path(__file__).parents[3] / "examples" / "connectors"
TAX = read_connector(EXAMPLES / "tax-service.yaml")
CRM = read_connector(EXAMPLES / "crm-service.yaml")


@pytest.fixture(scope="module")
def listening() -> Iterator[ReferenceStandIn]:
    with ReferenceStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def stand_in(listening: ReferenceStandIn) -> ReferenceStandIn:
    listening.reset()
    return listening


@pytest.mark.parametrize("case", cases(TAX), ids=lambda case: case.id)
def test_the_kit(listening: ReferenceStandIn, case: Case) -> None:
    result = asyncio.run(judge(case, lambda: bench(TAX, listening)))
    assert result.outcome != "red", result.detail


def test_the_example_is_short() -> None:
    assert len((EXAMPLES / "tax-service.yaml").read_text().splitlines()) <= 25


def test_files_are_known_to_the_registry() -> None:
    found = {each.name: each for each in installed([EXAMPLES / "tax-service.yaml"])}
    assert found["tax-service"].problem is None
    assert found["tax-service"].origin == "file tax-service.yaml"


def written(folder: Path, *changes: tuple[str, str], name: str = "crm-service.yaml") -> Path:
    """An example with texts replaced."""
    text = (EXAMPLES / name).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file = folder / name
    file.write_text(text)
    return file


def test_everything_that_is_wrong_is_told_with_its_line(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        ("rate: 20/s", "rate: 20 a second"),
        ("{api_key: key, header: X-Key}", "{api_key: kee, header: X-Key}"),
        ("health: GET /health", "health: POST /health"),
        (
            "tax.quote: POST /tax/quote",
            "tax.quote: {send: POST /tax/quote, body: {when: onn, all: 'liness[*].number'}}",
        ),
        ("POST /tax/commit, repeat: native 24h", "'POST /tax/{cod}', repeat: native soon"),
        ("POST /tax/refund, repeat: native 24h", "POST /tax/refund"),
        ("tax.find: POST /tax/find", "tax.found: GET /tax/find"),
        ("code: error.code", "code: error..code"),
        ("key_header", "keyheader"),
        name="tax-service.yaml",
    )
    with pytest.raises(DocumentError) as first:
        read_connector(file)
    assert first.value.lines() == [
        f"{file}:10: keyheader: is not a field here; did you mean 'key_header'?"
    ]  # the form first
    file.write_text(file.read_text().replace("keyheader", "key_header"))
    with pytest.raises(DocumentError) as found:
        read_connector(file)
    told = [line.removeprefix(f"{file}:") for line in found.value.lines()]
    assert [line.split(": ", 2)[:2] for line in told] == [
        ["8", "auth"],
        ["9", "rate"],
        ["12", "errors[0]"],
        ["13", "health"],
        ["14", "calls"],
        ["15", "calls.tax.quote.body.all"],
        ["15", "calls.tax.quote.body.when"],
        ["16", "calls.tax.commit.repeat"],
        ["16", "calls.tax.commit.send"],
        ["17", "calls.tax.refund"],
        ["19", "calls.tax.found"],
    ]
    assert told[5].endswith("there is no field 'liness' to read; did you mean 'lines'?")
    assert told[8].endswith("there is no field 'cod' to read; did you mean 'code'?")
    assert told[10].endswith("tax has no method 'found'; did you mean 'refund'?")


@asynccontextmanager
async def opened(connector: type[Connector[Any]], stand_in: ReferenceStandIn) -> AsyncIterator[Any]:
    config = connector.Config.model_validate(connector.sandbox_config(stand_in.url))
    made = connector(config, memory_context(secrets={"SANDBOX_SECRET": "sandbox"}))
    try:
        yield made
    finally:
        await made.aclose()


def record(key: str, email: str) -> CrmRecord:
    return CrmRecord(kind=CrmKind.CONTACT, key=key, fields={"email": email})


async def test_a_system_that_takes_one_record_at_a_time(stand_in: ReferenceStandIn, tmp_path: Path) -> None:
    one = written(
        tmp_path,
        (
            "crm.upsert: {send: POST /crm/upsert, repeat: native 24h}",
            "crm.upsert: {send: POST /crm/upsert, each: true, body: '[@]', answer: {vendor_id: '[0].vendor_id'},"
            " repeat: native 24h}",
        ),
    )
    async with opened(read_connector(one), stand_in) as crm:
        stand_in.inject("rejected", times=1, skip=1)
        stand_in.inject("unavailable", times=1, skip=2)
        outcomes = await crm.upsert([record(f"k{no}", "a@example.com") for no in range(5)], Key("sync:1"))
    statuses = [outcome.status for outcome in outcomes]
    assert statuses == [
        RecordStatus.WRITTEN,
        RecordStatus.REJECTED,
        RecordStatus.WRITTEN,
        *[RecordStatus.RETRY] * 2,
    ]
    assert [bool(outcome.vendor_id) for outcome in outcomes] == [True, False, True, False, False]
    assert stand_in.count("upsert") == 2


async def test_a_named_function_for_what_cannot_be_declared(
    stand_in: ReferenceStandIn, tmp_path: Path
) -> None:
    (tmp_path / "hooks.py").write_text(
        "from connectors.sdk.values import Page\n"
        "async def changes(connector, kind, cursor):\n"
        "    await connector.http.get('/health')\n"
        "    return Page(items=(), next=f'{kind}-{cursor}')\n"
    )
    changed = (
        "{send: GET /crm/changes, query: {kind: kind, cursor: cursor}}",
        "{python: './hooks.py:changes'}",
    )
    async with opened(read_connector(written(tmp_path, changed)), stand_in) as crm:
        assert (await crm.changes(CrmKind.CONTACT, "7")).next == "contact-7"
    wrong = (changed[0], "{python: './hooks.py:changed'}")
    with pytest.raises(DocumentError, match=r"hooks.py has no function 'changed'; did you mean 'changes'\?"):
        read_connector(written(tmp_path, wrong))
