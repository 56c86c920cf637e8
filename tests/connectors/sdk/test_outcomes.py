"""The one table of errors, row by row."""

from __future__ import annotations

import itertools

import pytest

from connectors.sdk.outcomes import Exchange, Phase, classify

READ, WRITE = ("GET", True), ("POST", True)
QUERY = ("POST", False)  # a POST that is no declared write: a search, a quote

STATUSES = {
    **dict.fromkeys((200, 201, 202, 204, 207), (None, None)),
    **dict.fromkeys((300, 302, 303, 304), ("broken", "unknown")),
    **dict.fromkeys((301, 307, 308), ("rejected", "rejected")),
    **dict.fromkeys((400, 402, 403, 404, 405, 409, 410, 413, 422), ("rejected", "rejected")),
    401: ("unauthorized", "unauthorized"),
    408: ("transient", "unknown"),
    429: ("rate_limited", "rate_limited"),
    503: ("transient", "transient"),
    **dict.fromkeys((500, 501, 502, 504, 520, 529, 599), ("transient", "unknown")),
}


@pytest.mark.parametrize(("status", "kinds"), STATUSES.items())
def test_each_status_has_its_kind_for_reads_and_for_writes(
    status: int, kinds: tuple[str | None, str | None]
) -> None:
    read, write = kinds
    assert classify(Exchange(Phase.ANSWERED, *READ, status=status)) == read
    assert classify(Exchange(Phase.ANSWERED, *QUERY, status=status)) == read
    assert classify(Exchange(Phase.ANSWERED, *WRITE, status=status)) == write


@pytest.mark.parametrize("writing", [True, False])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "post"])
def test_what_never_left_may_be_sent_again_and_what_left_unanswered_is_unknown_on_writes_only(
    method: str, writing: bool
) -> None:
    assert classify(Exchange(Phase.NOT_SENT, method, writing)) == "transient"
    is_write = writing and method not in ("GET", "HEAD")
    assert classify(Exchange(Phase.SENT, method, writing)) == ("unknown" if is_write else "transient")


def test_a_good_status_whose_body_cannot_be_read_is_unknown_on_a_write_and_broken_on_a_read() -> None:
    assert classify(Exchange(Phase.ANSWERED, *WRITE, status=200, readable=False)) == "unknown"
    assert classify(Exchange(Phase.ANSWERED, *READ, status=200, readable=False)) == "broken"


def test_an_error_status_stands_whatever_its_body_is() -> None:
    for status, readable in itertools.product((400, 404, 422), (True, False)):
        assert classify(Exchange(Phase.ANSWERED, *WRITE, status=status, readable=readable)) == "rejected"


def test_a_declared_kind_goes_before_the_table_and_unknown_counts_on_writes_only() -> None:
    assert classify(Exchange(Phase.ANSWERED, *WRITE, status=500, declared="transient")) == "transient"
    assert classify(Exchange(Phase.ANSWERED, *WRITE, status=409, declared="unknown")) == "unknown"
    assert classify(Exchange(Phase.ANSWERED, *READ, status=409, declared="unknown")) == "transient"
    assert classify(Exchange(Phase.ANSWERED, *WRITE, status=200, declared="rejected")) == "rejected"
