"""A connector's own table of errors: which row counts, what is read from a body, what is refused when declared."""

from __future__ import annotations

import pytest

from connectors.sdk.error_table import on, read_error
from connectors.sdk.errors import DefinitionError, RateLimited, Rejected, Unknown

TABLE = [
    on(409, Unknown, when="error.code == 'in_use'"),
    on({400, 409}, Rejected, code="error.code", fields="error.params"),
    on(None, RateLimited, when="[0].errorCode == 'REQUEST_LIMIT_EXCEEDED'"),
    on(200, Rejected, when="success == `false`"),
]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (409, {"error": {"code": "in_use"}}, Unknown),
        (409, {"error": {"code": "exists"}}, Rejected),
        (409, None, Rejected),
        (403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED"}], RateLimited),
        (403, [{"errorCode": "OTHER"}], None),
        (200, {"success": False}, Rejected),
        (200, {"success": True}, None),
        (200, "text", None),
        (500, {"error": {"code": "in_use"}}, None),
    ],
)
def test_the_first_row_that_fits_counts(status: int, body: object, error: type | None) -> None:
    rule = read_error(TABLE, status, body).rule
    assert (rule.error if rule else None) is error


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"error": {"message": "m", "code": "c"}}, "c", "m"),
        ({"message": "m", "code": 7}, "7", "m"),
        ({"errors": [{"detail": "m", "code": "c"}]}, "c", "m"),
        ([{"message": "m", "errorCode": "c"}], "c", "m"),
        ({"error": "invalid", "error_description": "m"}, "invalid", "m"),
        ({"type": "about:blank", "title": "m"}, None, "m"),
        ({"errors": ["m"]}, None, "m"),
        ({}, None, None),
        (None, None, None),
        ("just text", None, None),
        (7, None, None),
    ],
)
def test_the_vendors_words_are_found_in_the_usual_places(
    body: object, code: str | None, message: str | None
) -> None:
    told = read_error([], 400, body)
    assert (told.code, told.message) == (code, message)


@pytest.mark.parametrize(
    ("found", "fields"),
    [
        ({"email": ["is taken", "is long"], "age": 7}, {"email": "is taken; is long", "age": "7"}),
        (["email", "age"], {"email": "refused", "age": "refused"}),
        ([{"field": "email", "message": "is taken"}, {"other": 1}], {"email": "is taken"}),
        ("email", {"email": "refused"}),
        (None, {}),
    ],
)
def test_fields_are_read_in_the_shapes_that_vendors_have(found: object, fields: dict[str, str]) -> None:
    assert read_error([on(400, Rejected, fields="at")], 400, {"at": found}).fields == fields


def test_what_could_not_mean_anything_is_refused_when_it_is_declared() -> None:
    with pytest.raises(DefinitionError, match="no JMESPath expression"):
        on(400, Rejected, code="error.[")
    with pytest.raises(DefinitionError, match="needs when"):
        on(None, Rejected)
    with pytest.raises(DefinitionError, match="2xx"):
        on({200, 400}, Rejected)
