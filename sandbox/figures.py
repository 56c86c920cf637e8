"""Amounts as people read them, on the pages that stand for a bank's."""

from __future__ import annotations

#: Currencies whose smallest unit is the whole.
_WHOLE = frozenset(
    "bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof".split()  # noqa: SIM905
)


def figures(amount: int, currency: str) -> str:
    """`12.50 EUR` for 1250 minor units; currency in any case."""
    whole = currency.lower() in _WHOLE
    return f"{amount if whole else f'{amount // 100}.{amount % 100:02}'} {currency.upper()}"
