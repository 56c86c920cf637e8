"""What checks of a catalog share: paths to places, the codes that may be referred to, codes that stand twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import NamedTuple

from domain.catalog import Catalog

Path = tuple[str | int, ...]
Found = Iterator[tuple[Path, str]]


class KnownCodes(NamedTuple):
    """What a plan may refer to."""

    currencies: tuple[str, ...]
    products: Set[str]
    meters: Set[str]
    features: Set[str]


def known_codes(catalog: Catalog) -> KnownCodes:
    """The codes that `catalog` declares."""
    return KnownCodes(
        catalog.currencies,
        {product.code for product in catalog.products},
        {meter.code for meter in catalog.meters},
        {feature.code for feature in catalog.features},
    )


def repeated(path: Path, codes: Iterable[object], what: str, field: str | None = None) -> Found:
    """Every code that stands twice in the list at `path`; `field` is where an entry has it."""
    seen: dict[object, int] = {}
    for no, code in enumerate(codes):
        first = seen.setdefault(code, no)
        if first != no:
            tail: Path = (field,) if field else ()
            yield (*path, no, *tail), f"{what} {code} stands here twice (first at {path[-1]}[{first}])"


def unknown(path: Path, what: str, code: str, known: Set[str]) -> Found:
    """That there is no `code`, if there is none."""
    if code not in known:
        choice = ", ".join(sorted(known)) or "none"
        yield path, f"there is no {what} {code!r}; the catalog has: {choice}"
