"""Laws for every connector, whatever it can do."""

from __future__ import annotations

import io
import json
import logging
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from typing import Any

from pydantic import ValidationError

from connectors.sdk.capabilities.capability import capabilities_of, methods_of, writes_of
from connectors.sdk.config import Secret
from connectors.sdk.connector import Connector
from connectors.sdk.errors import Broken, ConnectorError
from connectors.sdk.idempotency import ByFind, Never, idempotency_of
from connectors.sdk.key import Key
from connectors.sdk.redaction import is_secret
from connectors.sdk.testing import samples
from connectors.sdk.testing.case import Bench, Case, Skipped
from connectors.sdk.testing.faults import effects_of_one
from connectors.sdk.testing.surroundings import CANARY

#: Ends of the names of fields that say something about a secret and are none.
_ABOUT_SECRETS = ("_url", "_header", "_name", "_id", "_field", "_type")

#: Loggers of the stand-in, which shares the process with the connector and may say what it got.
_OF_THE_STAND_IN = ("sandbox", "aiohttp", "mail.log", "asyncio")


def cases(connector: type[Connector[Any]]) -> list[Case]:
    """The laws that this connector has to keep."""
    found = [
        Case("laws", "health changes nothing", _health_is_read_only),
        Case("laws", "health tells refused credentials", _health_tells_refusal),
        Case("laws", "its configuration round-trips", _configuration_round_trips),
        Case("laws", "a secret in plain text is refused", _secrets_are_references),
        Case("laws", "unknown fields are refused", _unknown_fields_are_refused),
    ]
    for capability in capabilities_of(connector):
        for method in writes_of(capability):
            name = f"{capability.capability}.{method}"
            found.append(
                Case(
                    "laws", f"{name}: same key twice", partial(_same_key_twice, capability.capability, method)
                )
            )
            found.append(
                Case(
                    "laws",
                    f"{name}: keys that differ at their end",
                    partial(_keys_differ_at_their_end, capability.capability, method),
                )
            )
        for method in methods_of(capability):
            name = f"{capability.capability}.{method}"
            if method in connector.cannot_answer:
                says = partial(_says_that_it_cannot, capability.capability, method)
                found.append(Case("laws", f"{name}: says that there is nothing to ask", says))
                continue
            found.append(
                Case("laws", f"{name}: nothing leaks", partial(_nothing_leaks, capability.capability, method))
            )
    return found


async def _says_that_it_cannot(capability: str, method: str, bench: Bench) -> None:
    """What cannot be asked is an error in words, never "there is none": a write may follow from that."""
    own = bench.samples.get(f"{capability}.{method}")
    given = await samples.read_arguments(own, capability, method, bench.connector)
    before = bench.stand_in.count()
    try:
        answer = await getattr(bench.connector, method)(*given)
    except Broken as error:
        assert error.message, "it does not say what to do instead"
        assert bench.stand_in.count() == before, "a read had an effect"
        return
    raise AssertionError(f"it declares that there is nothing to ask, and answers {answer!r}")


async def _health_is_read_only(bench: Bench) -> None:
    before = bench.stand_in.count()
    health = await bench.connector.health()
    assert health.ok, f"healthy, and health says: {health.detail}"
    assert bench.stand_in.count() == before, "health changed something"


async def _health_tells_refusal(bench: Bench) -> None:
    bench.stand_in.inject(
        "auth_failed" if bench.connector.transport == "smtp" else "unauthorized_forever", None
    )
    health = await bench.connector.health()
    assert not health.ok, "the credentials are refused, and health says that all is well"
    assert health.detail, "health does not say what is wrong"
    assert CANARY not in health.detail, "health shows the secret"


async def _configuration_round_trips(bench: Bench) -> None:
    config = bench.connector.config
    again = type(config).model_validate(json.loads(config.model_dump_json()))
    assert again == config
    schema = type(config).model_json_schema()
    assert schema["additionalProperties"] is False
    undescribed = [name for name, field in schema["properties"].items() if "description" not in field]
    assert not undescribed, (
        f"say what these fields are, with Field(description=...): {', '.join(undescribed)}"
    )


async def _secrets_are_references(bench: Bench) -> None:
    config = bench.connector.config
    given = config.model_dump(mode="json")
    for name, value in ((n, getattr(config, n)) for n in type(config).model_fields):
        plain = isinstance(value, str) and is_secret(name) and not name.endswith(_ABOUT_SECRETS)
        assert not plain, f"{name} is a text: make it a Secret, so that it is a reference"
        if not isinstance(value, Secret):
            continue
        try:
            type(config).model_validate({**given, name: CANARY})
        except ValidationError as error:
            assert CANARY not in str(error), "the message repeats the secret"
        else:
            raise AssertionError(f"{name} takes a secret in plain text")


async def _unknown_fields_are_refused(bench: Bench) -> None:
    given = bench.connector.config.model_dump(mode="json")
    try:
        type(bench.connector.config).model_validate({**given, "no_such_field": 1})
    except ValidationError:
        return
    raise AssertionError("a field that does not exist was taken")


async def _same_key_twice(capability: str, method: str, bench: Bench) -> None:
    write = getattr(bench.connector, method)
    idempotency = idempotency_of(write)
    if isinstance(idempotency, Never):
        raise Skipped("it declares never: the hub does not send it twice")
    maker = bench.samples.get(f"{capability}.{method}") or samples.WRITES[capability][method]
    sample = await maker(bench.connector, "twice")
    before = bench.stand_in.count()
    first = await write(sample.request, sample.key)
    once = bench.stand_in.count() - before
    right = effects_of_one(bench, f"{capability}.{method}")
    assert once == right, f"it went well, and the stand-in counted {once} effects, not {right}"
    if isinstance(idempotency, ByFind):
        second = await getattr(bench.connector, idempotency.find)(sample.request, sample.key)
        assert second is not None, "what was written is not found by its key"
    else:
        second = await write(sample.request, sample.key)
    assert bench.stand_in.count() - before == once, "the same key twice had another effect"
    assert _settled(second) == _settled(first), f"another answer the second time: {second!r}, first {first!r}"


def _settled(answer: Any) -> Any:
    return list(answer) if isinstance(answer, list | tuple) else answer


async def _keys_differ_at_their_end(capability: str, method: str, bench: Bench) -> None:
    """Real keys are long, and those of two attempts differ in their last character: none may be cut."""
    maker = bench.samples.get(f"{capability}.{method}") or samples.WRITES[capability][method]
    once = effects_of_one(bench, f"{capability}.{method}")
    for attempt in (1, 2):
        sample = await maker(bench.connector, f"attempt-{attempt}")
        before = bench.stand_in.count()
        await getattr(bench.connector, method)(sample.request, Key.of(method, "x" * 150, attempt))
        counted = bench.stand_in.count() - before
        assert counted == once, f"write {attempt} under a key of its own had {counted} effects, not {once}"


async def _nothing_leaks(capability: str, method: str, bench: Bench) -> None:
    """A planted secret and a marked name, mail address and street are in no log, repr, error or print."""
    heard: list[str] = []
    listener = _Listener(heard)
    root = logging.getLogger()
    level = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    printed = io.StringIO()
    try:
        faults = ("conflict", "html", "unauthorized_once")
        if bench.connector.transport == "smtp":
            faults = ("rejected", "drop_before", "auth_failed")
        for number, fault in enumerate((*faults, None)):
            arguments = await _arguments(bench, capability, method, f"leak-{number}")
            if fault is not None:
                bench.stand_in.inject(fault)
            with redirect_stdout(printed), redirect_stderr(printed):
                try:
                    await getattr(bench.connector, method)(*arguments)
                except ConnectorError as error:
                    heard.extend(_chain(error))
    finally:
        root.setLevel(level)
        root.removeHandler(listener)
    heard.append(printed.getvalue())
    heard += [repr(bench.connector), repr(bench.connector.config), repr(bench.connector.context)]
    heard += [repr(entry) for entry in bench.log.entries]
    assert bench.log.entries, "its requests are in no request log"
    for planted in (CANARY, samples.MARKER_NAME, samples.MARKER_MAIL, samples.MARKER_STREET):
        leaks = [text for text in heard if planted in text]
        assert not leaks, f"{planted.split()[0]}… is shown: {leaks[0].replace(planted, '█')[:300]}"


async def _arguments(bench: Bench, capability: str, method: str, n: str) -> tuple[Any, ...]:
    """What the method is called with."""
    given = bench.samples.get(f"{capability}.{method}")
    if method in samples.WRITES.get(capability, {}):
        sample = await (given or samples.WRITES[capability][method])(bench.connector, n)
        return sample.request, sample.key
    return await samples.read_arguments(given, capability, method, bench.connector)


def _chain(error: BaseException) -> list[str]:
    """What a person would see of an error: itself and whatever it came from."""
    texts: list[str] = []
    here: BaseException | None = error
    while here is not None:
        texts += [str(here), repr(here), repr(getattr(here, "__notes__", ""))]
        here = here.__cause__ or (None if here.__suppress_context__ else here.__context__)
    return texts


class _Listener(logging.Handler):
    def __init__(self, heard: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(_OF_THE_STAND_IN):
            self._heard.append(record.getMessage())
            if record.exc_info and record.exc_info[1] is not None:
                self._heard.extend(_chain(record.exc_info[1]))
