"""Declarative connectors from files: read as documents, compiled to classes, known to the registry by their suffix."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from connectors.sdk.connector import Connector
from connectors.sdk.declarative import compile_connector
from connectors.sdk.declarative_document import ConnectorDocument
from connectors.sdk.located import DocumentProblems
from connectors.sdk.registry import load_files_with
from runtime.yaml_source import DocumentError, model_problems, read_document, validate

SUFFIX = ".yaml"
FOLDER = "connectors"


def read_connector(file: Path) -> type[Connector[Any]]:
    """The connector that a file describes. Raises DocumentError with every problem found."""
    document = read_document(file)
    try:
        validate(document, ConnectorDocument)
        return compile_connector(document)
    except ValidationError as error:
        problems = model_problems(document, error, ConnectorDocument)
    except DocumentProblems as error:
        problems = [document.problem(each.place, each.message) for each in error.problems]
    raise DocumentError(file, problems)


def connector_files(config: Path | None, named: Iterable[Path] = ()) -> list[Path]:
    """The files of declarative connectors of a publisher: `connectors/*.yaml` beside masthead.yaml, and those named."""
    beside = sorted((config.parent / FOLDER).glob(f"*{SUFFIX}")) if config is not None else []
    return list(dict.fromkeys([*beside, *named]))


load_files_with(SUFFIX, read_connector)
