"""Reading a catalog document: single fields and cross references are checked in one go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from domain.catalog import Catalog
from domain.catalog_checks import KnownCodes, find_problems
from runtime.yaml_source import (
    Document,
    DocumentError,
    DocumentProblem,
    Place,
    model_problems,
    read_document,
    validate,
)

_PLAN = re.compile(r"plan (?P<code>[^\s:]+)(?: version (?P<version>\d+))?")
# Stands in for an address that cannot be read, so that what refers to it is not found to lack one.
_SOMEWHERE = {"line1": "-", "city": "-", "postal_code": "-", "country": "XX"}
_LISTS = ("currencies", "features", "meters", "products", "plans", "tax_rates")


class CatalogSource(NamedTuple):
    """A catalog that can be loaded, and the document that it came from."""

    catalog: Catalog
    document: Document

    def problem(self, reason: str) -> DocumentProblem:
        """A conflict with what is loaded (as `CatalogConflict` words it, "plan CODE version N ..."), with its line."""
        named = _PLAN.match(reason)
        place: Place = ()
        for no, plan in enumerate(self.catalog.plans):
            if named is not None and plan.code == named["code"]:
                numbers = [str(version.version) for version in plan.versions]
                place = ("plans", no)
                if named["version"] in numbers:
                    place = (*place, "versions", numbers.index(named["version"]))
        return DocumentProblem(self.document.line(place) if place else None, "", reason)


def read_catalog_file(file: Path) -> CatalogSource:
    """The catalog that `file` holds. Raises DocumentError with every problem found: those of single fields
    and, for all entries that can be read in spite of them, those of references between entries."""
    document = read_document(file)
    try:
        catalog = validate(document, Catalog)
    except ValidationError as error:
        problems = model_problems(document, error, Catalog, _hint)
        raise DocumentError(file, [*problems, *_problems_beside(document, error)]) from None
    problems = [document.problem(found.path, found.message) for found in find_problems(catalog)]
    if problems:
        raise DocumentError(file, problems)
    return CatalogSource(catalog, document)


def _hint(place: Place) -> str | None:
    if place[-1] in ("price", "prices", "amounts", "phases"):
        return (
            "a price without a plan: prices stand in a phase of a plan's version "
            "(plans, versions, phases, prices), so that they are of something that is sold"
        )
    return None


def _problems_beside(document: Document, error: ValidationError) -> list[DocumentProblem]:
    """Cross-field problems of the entries that are sound by themselves, the others left out."""
    content = document.content
    if not isinstance(content, dict):
        return []
    broken: dict[str, set[int]] = {name: set() for name in _LISTS}
    for detail in error.errors(include_url=False):
        place = detail["loc"]
        if len(place) >= 2 and place[0] in broken and isinstance(place[1], int):
            broken[place[0]].add(place[1])
    kept: dict[str, list[int]] = {}
    reduced: dict[str, Any] = {"format": "masthead.catalog/1", "publisher": "-"}
    if content.get("ships_from") is not None:
        reduced["ships_from"] = _SOMEWHERE
    for name in _LISTS:
        entries = content.get(name)
        entries = entries if isinstance(entries, list) else []
        kept[name] = [no for no in range(len(entries)) if no not in broken[name]]
        reduced[name] = [entries[no] for no in kept[name]]
    try:
        catalog = Catalog.model_validate(reduced)
    except ValidationError:
        return []
    known = KnownCodes(
        catalog.currencies,
        _codes(content, "products"),
        _codes(content, "meters"),
        _codes(content, "features"),
    )
    problems = []
    for found in find_problems(catalog, known):
        listed, no, *rest = found.path
        place = (listed, kept[str(listed)][int(no)], *rest)
        problems.append(document.problem(place, found.message))
    return problems


def _codes(content: Mapping[str, Any], name: str) -> set[str]:
    entries = content.get(name)
    if not isinstance(entries, list):
        return set()
    return {str(entry["code"]) for entry in entries if isinstance(entry, dict) and "code" in entry}
