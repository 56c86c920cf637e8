"""docs/deploy.md says nothing that is not so: links, names, figures, services, and why an upgrade is safe."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

import contracts
from contracts.names import SEARCH_ATTRIBUTES
from runtime.cli.settings import OF_THE_SDK, variables
from tests.deploy.compose import ROOT, services

GUIDE = ROOT / "docs/deploy.md"
TEXT = GUIDE.read_text("utf-8")
OF_COMPOSE = {"TEMPORAL_HISTORY_SHARDS", "MASTHEAD_PROMETHEUS_PORT", "MASTHEAD_GRAFANA_PORT"}


def models(base: type[BaseModel] = BaseModel) -> Iterator[type[BaseModel]]:
    for each in base.__subclasses__():
        if each.__module__.startswith("contracts."):
            yield each
        yield from models(each)


def contract_models() -> list[type[BaseModel]]:
    for module in pkgutil.iter_modules(contracts.__path__, "contracts."):
        importlib.import_module(module.name)
    return sorted(set(models()), key=lambda each: (each.__module__, each.__qualname__))


@pytest.mark.parametrize("model", contract_models(), ids=lambda model: str(model.__name__))
def test_a_contract_drops_what_it_does_not_know(model: type[BaseModel]) -> None:
    """Old workers read what new ones write: an upgrade without a stop rests on it."""
    assert model.model_config.get("extra", "ignore") == "ignore"


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", TEXT)
    assert links
    assert [link for link in links if not (GUIDE.parent / link).exists()] == []


def test_variables_and_search_attributes_that_it_names_exist() -> None:
    known = (
        {each.name for each in variables()}
        | {each.file for each in variables()}
        | set(OF_THE_SDK)
        | OF_COMPOSE
    )
    assert set(re.findall(r"\b(?:MASTHEAD|TEMPORAL|DATABASE)_[A-Z_]+[A-Z]\b", TEXT)) <= known
    assert set(re.findall(r"`(Masthead\w+)`", TEXT)) == {each.name for each in SEARCH_ATTRIBUTES}


def test_every_service_is_explained() -> None:
    table = "\n".join(line for line in TEXT.splitlines() if line.startswith("| `"))
    assert [name for name in services() if f"`{name}`" not in table] == []


def test_every_figure_for_sizing_was_measured() -> None:
    _, _, section = TEXT.partition("## Sizes")
    table = "\n".join(line for line in section.partition("\n## ")[0].splitlines() if line.startswith("|"))
    measured = (ROOT / "docs/performance.md").read_text("utf-8")
    figures = re.findall(r"\d[\d,.]*\d", table)
    assert len(figures) > 10
    assert [
        each for each in figures if not re.search(rf"(?<![\d.,]){re.escape(each)}(?![\d.,]*\d)", measured)
    ] == []
