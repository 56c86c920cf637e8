"""Reading a scenario document: each step is checked by its own verb, so that errors name its line and its field."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails

from domain.account.commands import Step
from domain.catalog import Catalog
from domain.catalog_checks import find_problems
from domain.simulation.play import check_order
from domain.simulation.references import unknown_references
from domain.simulation.scenario import MisplacedStep, Scenario
from runtime.catalog_source import read_catalog_file
from runtime.yaml_source import Document, DocumentError, DocumentProblem, model_problems, read_document

VERBS: dict[str, type[BaseModel]] = {
    get_args(model.model_fields["do"].annotation)[0]: model for model in get_args(get_args(Step)[0])
}


class ScenarioSource(NamedTuple):
    """A scenario that can be played, and the line on which each of its steps begins."""

    scenario: Scenario
    catalog: Catalog
    lines: tuple[int, ...]


def read_scenario_file(file: Path) -> ScenarioSource:
    """The scenario that `file` holds, and its catalog. Raises DocumentError with every problem found."""
    document = read_document(file)
    problems = [*_step_problems(document), *_other_problems(document)]
    if problems:
        raise DocumentError(file, problems)
    scenario = Scenario.model_validate(document.content)
    catalog = _catalog(document, scenario)
    try:
        check_order(scenario)
    except MisplacedStep as error:
        raise DocumentError(file, [document.problem(("steps", error.place, "at"), str(error))]) from None
    problems = [document.problem(each.path, each.message) for each in unknown_references(scenario, catalog)]
    if problems:
        raise DocumentError(file, problems)
    lines = tuple(document.line(("steps", place)) or 0 for place in range(len(scenario.steps)))
    return ScenarioSource(scenario, catalog, lines)


def _step_problems(document: Document) -> list[DocumentProblem]:
    content = document.content
    steps = content.get("steps") if isinstance(content, dict) else None
    problems: list[DocumentProblem] = []
    for place, step in enumerate(steps if isinstance(steps, list) else []):
        if not isinstance(step, dict):
            problems.append(
                document.problem(("steps", place), "must be a block like {at: 2026-12-01, do: bill}")
            )
            continue
        model = VERBS.get(str(step.get("do")))
        if model is None:
            wrong = "do: is missing" if "do" not in step else f"{step['do']!r} is no verb"
            known = ", ".join(VERBS)
            problems.append(document.problem(("steps", place, "do"), f"{wrong}; the verbs are: {known}"))
            continue
        try:
            model.model_validate(step)
        except ValidationError as error:
            problems += model_problems(document, _placed(error, ("steps", place)), model)
    return problems


def _other_problems(document: Document) -> list[DocumentProblem]:
    content = document.content if isinstance(document.content, dict) else {}
    try:
        Scenario.model_validate(document.content)
    except ValidationError as error:
        details = error.errors(include_url=False)
        rest = [_for_catalog(each) for each in details if not _told_elsewhere(each["loc"], content)]
        return model_problems(document, _rebuilt(rest), Scenario) if rest else []
    return []


def _told_elsewhere(loc: tuple[str | int, ...], content: dict[str, Any]) -> bool:
    """Whether an error is one of a step, or of the side of `catalog: document or path` that was not meant."""
    if loc[:1] == ("steps",):
        return isinstance(content.get("steps"), list) and bool(content["steps"])
    meant = "Catalog" if isinstance(content.get("catalog"), dict) else "str"
    return loc[:1] == ("catalog",) and len(loc) > 1 and loc[1] != meant


def _for_catalog(detail: Any) -> Any:
    """An error of the catalog, at its place in the document."""
    loc = detail["loc"]
    return {**detail, "loc": (loc[0], *loc[2:])} if loc[:1] == ("catalog",) else detail


def _placed(error: ValidationError, place: tuple[str | int, ...]) -> ValidationError:
    return _rebuilt([{**each, "loc": (*place, *each["loc"])} for each in error.errors(include_url=False)])


def _rebuilt(details: list[Any]) -> ValidationError:
    return ValidationError.from_exception_data(
        "Scenario",
        [
            InitErrorDetails(type=each["type"], loc=each["loc"], input=each["input"], ctx=each.get("ctx", {}))
            for each in details
        ],
    )


def _catalog(document: Document, scenario: Scenario) -> Catalog:
    if isinstance(scenario.catalog, str):
        file = document.file.parent / scenario.catalog
        if not file.exists():
            what = f"{scenario.catalog} does not exist; the path is followed from the scenario's folder"
            raise DocumentError(document.file, [document.problem(("catalog",), what)])
        return read_catalog_file(file).catalog
    problems = [
        document.problem(("catalog", *found.path), found.message) for found in find_problems(scenario.catalog)
    ]
    if problems:
        raise DocumentError(document.file, problems)
    return scenario.catalog
