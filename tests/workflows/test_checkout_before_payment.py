"""Access before the first payment: only where the policy gives it, and gone with the sale when no money comes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from connectors.sdk.memory import memory_context
from contracts.checkout import CheckoutStatus
from domain.rule_book import RuleBook
from operations.rule_books import load_rule_book
from runtime.fulfilment_keeper import FulfilmentKeeper
from sandbox.reference.stand_in import ReferenceStandIn
from tests.operations.fulfilment.parcels import SERVICES
from tests.workflows.selling import BACK, Shop, order
from workflows.checkout import CheckoutWorkflow

S = CheckoutStatus
DEBIT = {"method": "pm_card_threeDSecure2Required", "return_url": BACK, "charge": "last"}
READ = (
    "select feature from entitlement_grant where account_id = %s and starts_at <= now()"
    " and coalesce(ends_at > now(), true) order by feature"
)
BOUGHT = [("news",), ("quarterdeck",)]


@pytest.fixture
def licences(shop: Shop) -> Iterator[ReferenceStandIn]:
    """Who gives licences, connected."""
    with ReferenceStandIn() as stand_in:
        kind = SERVICES["licences"]
        config = kind.Config.model_validate(kind.sandbox_config(stand_in.url))
        shop.others = {"licences": kind(config, memory_context(secrets={"SANDBOX_SECRET": "sandbox"}))}
        shop.fulfilled_by = {"drm": "licences"}
        yield stand_in


@pytest.mark.parametrize("bank", ["approve", "fail"])
@pytest.mark.parametrize("before_payment", [False, True], ids=["default", "before payment"])
async def test_who_reads_before_the_payment_has_come_in(
    shop: Shop, licences: ReferenceStandIn, before_payment: bool, bank: str
) -> None:
    if before_payment:
        rules = RuleBook.model_validate({"policy": {"access": {"before_payment": True}}})
        assert load_rule_book(shop.engine, rules) is not None
    keeper = FulfilmentKeeper(shop.client, shop.engine, lambda _: shop.fulfilled_by)
    handle = await shop.start(order("digital-monthly", "quarterdeck", payment=DEBIT))
    own = handle.id.partition("/")[2]
    await shop.until(
        "the books have it, and the customer is at the bank", lambda: shop.row(own).next_action_url
    )
    row = shop.row(own)
    # The invoice is final, and nothing is paid.
    assert shop.rows("select status from invoice where id = %s", row.invoice_id) == [("open",)]
    assert shop.rows(READ, row.account_id) == (BOUGHT if before_payment else [])
    await keeper.round(datetime.now(UTC))
    if before_payment:
        await shop.until("the licence is given", lambda: licences.count("grant") == 1)
    assert licences.count("grant") == before_payment

    async with httpx.AsyncClient() as browser:
        await browser.post(f"{row.next_action_url}/{bank}")
    await handle.signal(CheckoutWorkflow.confirm, None)
    paid = bank == "approve"
    assert (await handle.result()).status is (S.COMPLETED if paid else S.DECLINED)
    assert shop.rows(READ, row.account_id) == (BOUGHT if paid else [])
    if paid:
        await shop.until("the licence is given", lambda: licences.count("grant") == 1)
        return
    answered = "select count(*) from connector_call where method = 'drm.grant' and status = 'succeeded'"
    await shop.until(
        "what was asked for is answered", lambda: shop.rows(answered) == [(int(before_payment),)]
    )
    for _ in range(2):
        # The first round writes down what was given, and then it is taken away.
        await keeper.round(datetime.now(UTC))
    if before_payment:
        await shop.until("the licence is taken away", lambda: licences.count("revoke") == 1)
    assert licences.count("grant") == licences.count("revoke") == before_payment
