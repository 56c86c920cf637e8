"""What a refusal calls things: lines by their place on an invoice, subscribed items by their plan, payments by their
number. Rules know them by keys, which say nothing to whoever asked."""

from __future__ import annotations

from collections.abc import Iterator

from domain.account.state import AccountState


def in_words(account: AccountState, text: str) -> str:
    """`text` with the keys of the account's own things replaced by what people call them."""
    for key, words in sorted(_names(account), key=lambda each: -len(each[0])):
        if key in text:
            text = text.replace(key, words)
    return text


def _names(account: AccountState) -> Iterator[tuple[str, str]]:
    """(what rules say, what people say); longer texts go before those that they contain."""
    for invoice in account.invoices:
        place = 0
        for line in invoice.lines:
            if line.kind == "tax":
                continue
            place += 1
            yield from _named(line.charge_key, "line", f"line {place} of invoice {invoice.number}")
    for waiting in account.pending:
        yield from _named(waiting.head.charge_key, "line", "a charge that waits for the next invoice")
    for subscription in account.subscriptions.values():
        for item in subscription.terms.items:
            yield from _named(item.id, "item", f"plan {item.plan!r}")
        for stop in subscription.stops:
            until = stop.wished.until
            yield from _named(
                stop.id, "holiday stop", f"the holiday stop from {stop.wished.start} until {until}"
            )
    for receipt in account.receipts:
        yield f"payment {receipt.payment.id}", f"payment {receipt.number}"


def _named(key: str, what: str, words: str) -> Iterator[tuple[str, str]]:
    yield f"{what} {key}", words
    yield key, words
