"""The guide to the API names what there is: every scope, and only paths of the document."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from contracts.scopes import SCOPES
from tests.api.described import DOCUMENT

GUIDE = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")


def test_every_scope_is_in_the_guide_and_says_whether_it_is_for_one_account() -> None:
    for name, scope in SCOPES.items():
        (row,) = [line for line in GUIDE.splitlines() if line.startswith("|") and f"`{name}`" in line]
        assert row.endswith("| ✓ |") == scope.for_accounts, name


def test_what_is_called_in_the_guide_is_in_the_document() -> None:
    called = re.findall(r"\$API(/v1/[^\s\"?]+)", GUIDE)
    paths = [re.sub(r"\{\w+\}", "[^/]+", path) for path in DOCUMENT["paths"]]
    assert len(called) > 5
    assert [path for path in called if not any(re.fullmatch(known, path) for known in paths)] == []


@pytest.mark.parametrize("body", re.findall(r"-d '(.+?)'", GUIDE, re.DOTALL))
def test_the_bodies_of_the_guide_are_json(body: str) -> None:
    assert json.loads(body)


def test_the_document_says_of_each_operation_what_it_is_and_what_it_may_answer() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            assert "HTTPValidationError" not in json.dumps(operation)
            if path.startswith("/v1/"):
                assert "application/problem+json" in operation["responses"]["4XX"]["content"], (method, path)


@pytest.mark.parametrize(
    "name", [name for name, schema in DOCUMENT["components"]["schemas"].items() if "example" in schema]
)
def test_an_example_is_what_its_schema_says(name: str) -> None:
    schema = DOCUMENT["components"]["schemas"][name]
    validator = Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]},
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )
    assert [error.message for error in validator.iter_errors(schema["example"])] == []
