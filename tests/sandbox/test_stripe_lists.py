"""Lists are complete at once, search lags, and pages make the whole."""

from __future__ import annotations

from datetime import timedelta

import pytest
import stripe

from sandbox.stripe.stand_in import StripeStandIn
from tests.sandbox.test_stripe_payments import charge, sdk


@pytest.fixture
def client(stripe_stand_in: StripeStandIn) -> stripe.StripeClient:
    return sdk(stripe_stand_in)


def test_pages_make_the_whole_newest_first(client: stripe.StripeClient) -> None:
    made = [charge(client).id for _ in range(7)]
    listed = [one.id for one in client.v1.payment_intents.list({"limit": 3}).auto_paging_iter()]
    assert listed == made[::-1]
    page = client.v1.payment_intents.list({"limit": 3, "starting_after": made[5]})
    assert ([one.id for one in page.data], page.has_more) == (made[4:1:-1], True)
    back = client.v1.payment_intents.list({"limit": 2, "ending_before": made[0]})
    assert ([one.id for one in back.data], back.has_more) == (made[2:0:-1], True)


def test_lists_filter_by_customer_and_time(
    stripe_stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    owner = client.v1.customers.create({"email": "a@example.com"})
    mine = charge(client, customer=owner.id)
    stripe_stand_in.advance(timedelta(hours=1))
    later = charge(client)
    assert [one.id for one in client.v1.payment_intents.list({"customer": owner.id}).data] == [mine.id]
    since = {"created": {"gte": later.created}}
    assert [one.id for one in client.v1.payment_intents.list(since).data] == [later.id]
    until = {"created": {"lt": later.created}}
    assert [one.id for one in client.v1.payment_intents.list(until).data] == [mine.id]


def test_what_was_made_is_listed_at_once_and_searched_a_minute_later(
    stripe_stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    made = charge(client, metadata={"reference": "it's"})
    query = {"query": "metadata['reference']:\"it's\" AND status:'succeeded'"}
    assert [one.id for one in client.v1.payment_intents.list().data] == [made.id]
    assert client.v1.payment_intents.search(query).data == []
    stripe_stand_in.advance(timedelta(minutes=1, seconds=1))
    assert [one.id for one in client.v1.payment_intents.search(query).data] == [made.id]
    assert client.v1.payment_intents.search({"query": "status:'canceled' OR amount>2000"}).data == []
    assert len(client.v1.payment_intents.search({"query": "amount>=1250 AND amount<1251"}).data) == 1


def test_search_pages_make_the_whole(stripe_stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    made = {charge(client).id for _ in range(5)}
    stripe_stand_in.advance(timedelta(minutes=2))
    found = client.v1.payment_intents.search({"query": "currency:'eur'", "limit": 2})
    assert found.next_page
    assert {one.id for one in found.auto_paging_iter()} == made


@pytest.mark.parametrize(
    "query", ["", "status", "status:'a' AND created>1 OR amount>1", "amount>'x'", "status~'a'"]
)
def test_a_query_that_cannot_be_read_is_refused(query: str, client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.search({"query": query})
    assert refused.value.param == "query"


def test_a_page_size_or_cursor_that_is_none_is_refused(client: stripe.StripeClient) -> None:
    for params in ({"limit": 101}, {"limit": 0}, {"starting_after": "pi_nobody"}):
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.payment_intents.list(params)  # type: ignore[arg-type]


def test_balance_transactions_are_what_was_paid_less_fees(client: stripe.StripeClient) -> None:
    intent = charge(client)
    client.v1.refunds.create({"payment_intent": intent.id, "amount": 250})
    moved = client.v1.balance_transactions.list().data
    assert [(one.type, one.amount, one.net) for one in moved] == [
        ("refund", -250, -250),
        ("charge", 1250, 1184),
    ]
    (only,) = client.v1.balance_transactions.list({"type": "charge"}).data
    assert only.source == intent.latest_charge
