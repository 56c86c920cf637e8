"""The guides: their whole documents load, their messages are what is said, their tables leave nothing out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest
from pydantic import BaseModel

from domain.catalog import Catalog, PriceModel, PriceType
from domain.import_fields import FieldCompiler
from domain.import_functions import FunctionError, Step, compile_step
from domain.import_map import ImportMap, Source
from runtime.catalog_source import read_catalog_file
from runtime.yaml_source import DocumentError, load_document, read_document

DOCS = Path(__file__).parents[1] / "docs"
CATALOG, IMPORT = DOCS / "catalog.md", DOCS / "import.md"
AS_OF = date(2026, 12, 1)
_BLOCK = re.compile(r"^```(\S[^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXAMPLE = re.compile(r"^\| `(.+?)` \| `(.*?)` \| `(.+?)` \|$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: `mark` follows the fence, as in `yaml catalog`."""

    mark: str
    text: str


def blocks(guide: Path) -> list[Block]:
    return [Block(mark.strip(), text) for mark, text in _BLOCK.findall(guide.read_text("utf-8"))]


def marked(guide: Path, mark: str) -> list[str]:
    return [block.text for block in blocks(guide) if block.mark == mark]


def written(folder: Path, text: str, name: str = "catalog.yaml") -> Path:
    file = folder / name
    file.write_text(text, "utf-8")
    return file


@pytest.mark.parametrize("text", marked(CATALOG, "yaml catalog"))
def test_a_catalog_of_the_guide_can_be_loaded(text: str, tmp_path: Path) -> None:
    assert read_catalog_file(written(tmp_path, text)).catalog.plans


@pytest.mark.parametrize("text", marked(IMPORT, "yaml import-map"))
def test_a_map_of_the_guide_can_be_read(text: str, tmp_path: Path) -> None:
    assert load_document(written(tmp_path, text), ImportMap).items


@pytest.mark.parametrize("guide", [CATALOG, IMPORT], ids=lambda guide: str(guide.name))
def test_every_block_of_yaml_is_yaml_and_whole_documents_are_marked(guide: Path, tmp_path: Path) -> None:
    found = [block for block in blocks(guide) if block.mark.startswith("yaml")]
    assert sum(block.mark != "yaml" for block in found) >= 2
    for block in found:
        read_document(written(tmp_path, block.text))
        assert block.text.startswith("format:") == (block.mark != "yaml"), block.text


def test_a_refused_catalog_is_refused_in_the_words_of_the_guide(tmp_path: Path) -> None:
    every = blocks(CATALOG)
    refused = [no for no, block in enumerate(every) if block.mark == "yaml catalog refused"]
    assert refused
    for no in refused:
        with pytest.raises(DocumentError) as error:
            read_catalog_file(written(tmp_path, every[no].text))
        said = "\n".join(error.value.lines()).replace(f"{tmp_path}/", "")
        assert said == every[no + 1].text.strip()


def test_the_examples_of_functions_become_what_the_guide_says(tmp_path: Path) -> None:
    seen: set[str] = set()
    _before, _heading, section = IMPORT.read_text("utf-8").partition("## Functions")
    for function, cell, wanted in _EXAMPLE.findall(section.partition("## ")[0]):
        field = read_document(written(tmp_path, f"function: {function}\n")).content
        source = Source.model_validate({"column": "cell", **field} if cell else field)
        got = FieldCompiler(["cell"], AS_OF).getter(source, "field")([cell.strip()])
        assert str(got) == wanted, function
        seen.update(step.name for step in source.function)
    with pytest.raises(FunctionError) as error:
        compile_step(Step("~"), AS_OF)
    assert seen == set(str(error.value).partition("there are: ")[2].split(", "))


@pytest.mark.parametrize(
    ("guide", "model"), [(CATALOG, Catalog), (IMPORT, ImportMap)], ids=["catalog", "import"]
)
def test_every_field_is_in_the_guide(guide: Path, model: type[BaseModel]) -> None:
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", guide.read_text("utf-8")))))
    assert set(fields_of(model)) - words == set()


def test_every_price_type_and_model_is_in_the_guide() -> None:
    text = CATALOG.read_text("utf-8")
    assert [name for name in (*PriceType, *PriceModel) if f"`{name}`" not in text] == []


@pytest.mark.parametrize("guide", [CATALOG, IMPORT], ids=lambda guide: str(guide.name))
def test_links_lead_somewhere(guide: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", guide.read_text("utf-8"))
    assert [link for link in links if not (guide.parent / link).exists()] == []


def fields_of(model: type[BaseModel]) -> Iterator[str]:
    """The field names of `model` and of the models within it."""
    for name, field in model.model_fields.items():
        yield name
        for inner in models_in(field.annotation):
            yield from fields_of(inner)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)
