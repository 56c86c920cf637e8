"""Documents written by people: YAML read with the line of every node, checked by a model, all errors at
once."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError, YAMLStreamError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.tokens import ScalarToken

Place = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)

MAX_BYTES = 8_000_000
ALIKE_AT_LEAST = 3
LINES_NAMED = 5
_MAX_NODES = 500_000  # aliases are expanded while counting, so a few lines cannot ask for billions of nodes
_MAX_DEPTH = 40
_CORE = "tag:yaml.org,2002:"


class DocumentProblem(NamedTuple):
    """One thing wrong: `line` counts from 1 (None: the file as a whole), `path` as in `plans[0].code`."""

    line: int | None
    path: str
    message: str


class DocumentError(ValueError):
    """A document that cannot be used; `problems` holds everything found, in the order of its lines. What is wrong in
    many places alike is one problem, at the first of them, that names the others."""

    def __init__(self, file: Path, problems: Sequence[DocumentProblem]) -> None:
        self.file = file
        self.problems = list(
            _collapsed(sorted(problems, key=lambda problem: (problem.line or 0, problem.path)))
        )
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """Each problem as `FILE:LINE: field.path: message`."""
        return [
            ": ".join(
                part
                for part in (
                    f"{self.file}:{problem.line}" if problem.line else str(self.file),
                    problem.path,
                    problem.message,
                )
                if part
            )
            for problem in self.problems
        ]


class Document(NamedTuple):
    """A document as plain values, and the line on which each place in it stands."""

    file: Path
    content: Any
    places: dict[Place, int]
    sha256: bytes

    def line(self, place: Sequence[str | int]) -> int | None:
        """The line of `place`, or of what holds it."""
        for end in range(len(place), -1, -1):
            if (found := self.places.get(tuple(place[:end]))) is not None:
                return found
        return None

    def problem(self, place: Sequence[str | int], message: str) -> DocumentProblem:
        """`message` about `place`, with the line found."""
        return DocumentProblem(self.line(place), dotted(place), message)


def _collapsed(problems: Sequence[DocumentProblem]) -> Iterator[DocumentProblem]:
    alike: dict[str, list[DocumentProblem]] = {}
    for problem in problems:
        alike.setdefault(problem.message, []).append(problem)
    for problem in problems:
        first, *others = alike[problem.message]
        if len(others) < ALIKE_AT_LEAST:
            yield problem
        elif problem is first:
            lines = list(dict.fromkeys(str(other.line) for other in others if other.line))
            named = ", ".join(lines[:LINES_NAMED]) + (", ..." if len(lines) > LINES_NAMED else "")
            yield first._replace(
                message=f"{problem.message}; the same in {len(others)} more places (lines {named})"
            )


def dotted(place: Sequence[str | int]) -> str:
    """A place as people write it: `plans[0].versions[1].interval`."""
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def read_document(file: Path) -> Document:
    """`file` as plain values: mappings, lists, text, whole numbers, booleans and None; numbers with a point
    stay text, so that no digit is lost. Raises DocumentError for what cannot be read, for broken YAML (with
    line and column) and for a key that stands twice."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise DocumentError(file, [DocumentProblem(None, "", _why_unreadable(error))]) from None
    if len(raw) > MAX_BYTES:
        raise DocumentError(file, [DocumentProblem(None, "", f"is larger than {MAX_BYTES // 1_000_000} MB")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DocumentError(
            file, [DocumentProblem(line, "", "is not UTF-8 text; save it as UTF-8")]
        ) from None
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        raise DocumentError(file, [_open_quote(text, error) or _broken(error)]) from None
    except (YAMLError, YAMLStreamError) as error:
        reason = str(error).partition("\n")[0]
        raise DocumentError(file, [DocumentProblem(None, "", f"is not YAML: {reason}")]) from None
    except RecursionError:
        raise DocumentError(file, [DocumentProblem(None, "", "is nested too deeply")]) from None
    if node is None:
        raise DocumentError(file, [DocumentProblem(None, "", "is empty")])
    reader = _Reader(file)
    content = reader.value(node, ())
    if reader.problems:
        raise DocumentError(file, reader.problems)
    return Document(file, content, reader.places, hashlib.sha256(raw).digest())


def load_document(file: Path, model: type[ModelT]) -> ModelT:
    """`file` read and validated as `model`. Raises DocumentError with every problem found."""
    document = read_document(file)
    try:
        return validate(document, model)
    except ValidationError as error:
        raise DocumentError(file, model_problems(document, error, model)) from None


def validate(document: Document, model: type[ModelT]) -> ModelT:
    """The document's content as `model`. Raises pydantic's ValidationError."""
    return model.model_validate(document.content)


def model_problems(
    document: Document,
    error: ValidationError,
    model: type[BaseModel],
    hint: Callable[[Place], str | None] | None = None,
) -> list[DocumentProblem]:
    """A ValidationError in plain words, each at its line; `hint` may word an unknown field by its place."""
    if (other := _other_kind(document, model)) is not None:
        return [other]
    found = []
    details = error.errors(include_url=False)
    for detail in details:
        place = tuple(step for step in detail["loc"] if step != "[key]")
        if detail["type"] == "too_short" and any(
            other is not detail and other["loc"][: len(place)] == place for other in details
        ):
            continue  # a list whose entries are all wrong is no empty list
        found.append(document.problem(place, _plain(detail, place, model, hint)))
    return found


def _other_kind(document: Document, model: type[BaseModel]) -> DocumentProblem | None:
    """What is wrong with a document that is not of the kind that `model` describes, so that its fields need not be
    looked at; None for one that is, or that does not say."""
    field = model.model_fields.get("format")
    formats = get_args(field.annotation) if field is not None else ()
    if not formats:
        return None
    expected = f"{_kind(formats[0])} is expected here, which begins with `format: {formats[0]}`"
    if not isinstance(document.content, dict):
        what = "a list" if isinstance(document.content, list) else f"the text {_shown(document.content)}"
        return document.problem((), f"is {what}; {expected}")
    given = document.content.get("format")
    if not isinstance(given, str) or given in formats:
        return None
    if given.partition("/")[0] == formats[0].partition("/")[0]:
        known = ", ".join(formats)
        return document.problem(("format",), f"{given!r} is not known to this version, which reads {known}")
    return document.problem(("format",), f"this is {_kind(given)} ({given}); {expected}")


def _kind(document_format: str) -> str:
    """`masthead.import-map/1` as "an import map"."""
    words = document_format.partition("/")[0].removeprefix("masthead.").replace("-", " ")
    return f"{'an' if words[:1] in 'aeiou' else 'a'} {words}"


def _why_unreadable(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "does not exist; check the path"
    if isinstance(error, IsADirectoryError):
        return "is a folder, not a file"
    return f"cannot be read: {error.strerror}"


def _open_quote(text: str, error: MarkedYAMLError) -> DocumentProblem | None:
    """The quote that was not closed, if that is what broke the document: text in quotes that ran over lines, to the
    end or up to the next quote, right behind which the reading came to a stop."""
    if error.context == "while scanning a quoted scalar" and error.context_mark is not None:
        begin = error.context_mark
        return DocumentProblem(begin.line + 1, "", f"column {begin.column + 1}: {_NOT_CLOSED}")
    if error.problem_mark is None:
        return None
    last = None
    with suppress(YAMLError):
        for token in YAML(typ="safe", pure=True).scan(text):
            if token.start_mark.index > error.problem_mark.index:
                break
            if isinstance(token, ScalarToken) and token.style in ("'", '"'):
                last = token
    if last is None or not last.start_mark.line < last.end_mark.line == error.problem_mark.line:
        return None
    begin = last.start_mark
    return DocumentProblem(
        begin.line + 1,
        "",
        f"column {begin.column + 1}: {_NOT_CLOSED} before the next one, on line {last.end_mark.line + 1}",
    )


def _broken(error: MarkedYAMLError) -> DocumentProblem:
    mark = error.problem_mark or error.context_mark
    context = error.context
    if context and mark and error.context_mark and error.context_mark.line != mark.line:
        context += f" (begun on line {error.context_mark.line + 1})"
    what = " ".join(part for part in (context, error.problem) if part) or "cannot be parsed"
    column = f"column {mark.column + 1}: " if mark else ""
    return DocumentProblem(mark.line + 1 if mark else None, "", f"{column}broken YAML: {what}")


_NOT_CLOSED = "broken YAML: the quote that begins here is not closed"


class _Reader:
    """Turns YAML nodes into plain values, noting lines and collecting problems."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.places: dict[Place, int] = {}
        self.problems: list[DocumentProblem] = []
        self._nodes = 0

    def value(self, node: Node, place: Place) -> Any:
        self._nodes += 1
        self.places.setdefault(place, node.start_mark.line + 1)
        if self._nodes > _MAX_NODES or len(place) > _MAX_DEPTH:
            message = "is too large once its aliases are expanded, or nested too deeply"
            raise DocumentError(
                self.file, [DocumentProblem(node.start_mark.line + 1, dotted(place), message)]
            )
        if isinstance(node, MappingNode):
            return self._mapping(node, place)
        if isinstance(node, SequenceNode):
            return [self.value(child, (*place, no)) for no, child in enumerate(node.value)]
        if isinstance(node, ScalarNode):
            return self._scalar(node, place)
        raise TypeError(f"{node} is no kind of node that YAML has")

    def _mapping(self, node: MappingNode, place: Place) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode) or str(key_node.tag) == f"{_CORE}merge":
                self.problems.append(DocumentProblem(line, dotted(place), "only plain keys can stand here"))
                continue
            key = str(key_node.value)
            here = (*place, key)
            if key in content:
                first = self.places[here]
                self.problems.append(
                    DocumentProblem(line, dotted(here), f"stands here twice; the first is on line {first}")
                )
                continue
            self.places[here] = line
            content[key] = self.value(value_node, here)
        return content

    def _scalar(self, node: ScalarNode, place: Place) -> Any:
        tag, text = str(node.tag).removeprefix(_CORE), str(node.value)
        if tag == "null":
            return None
        if tag == "bool":
            return text.lower() == "true"
        if tag == "int" and re.fullmatch(r"[-+]?\d{1,18}", text):
            return int(text)
        if tag not in ("str", "int", "float", "timestamp"):
            self.problems.append(
                DocumentProblem(
                    node.start_mark.line + 1, dotted(place), f"the tag {node.tag} is not known here"
                )
            )
        return text


def _plain(
    detail: ErrorDetails, place: Place, model: type[BaseModel], hint: Callable[[Place], str | None] | None
) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        return "is missing; it is required"
    if kind == "extra_forbidden":
        return (hint and hint(place)) or f"is not a field here{_did_you_mean(str(place[-1]), place, model)}"
    if kind in ("string_type", "string_sub_type"):
        return f"must be text, not {_shown(detail['input'])}; put it in quotes"
    if kind in ("tuple_type", "list_type"):
        return "must be a list (lines that begin with '- ')"
    if kind in ("dict_type", "model_type", "model_attributes_type"):
        return f"must be a block of fields, not {_shown(detail['input'])}"
    if kind.startswith("date"):
        return f"{_shown(detail['input'])} is not a date; write it like 2026-12-01"
    if kind.startswith(("int_", "decimal_")):
        return f"{_shown(detail['input'])} is not a number that fits here"
    if kind in ("enum", "literal_error"):
        return f"{_shown(detail['input'])} is not one of {context.get('expected')}"
    if kind in ("too_short", "string_too_short"):
        return "must not be empty"
    message = detail["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:] if kind != "value_error" else message


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _did_you_mean(name: str, place: Place, model: type[BaseModel]) -> str:
    fields = sorted(_fields_of(model))
    close = difflib.get_close_matches(name, fields, n=1)
    return f"; did you mean {close[0]!r}?" if close else "; remove it or correct its name"


def _fields_of(model: type[BaseModel]) -> set[str]:
    """The field names of the model and of the models in it."""
    names: set[str] = set()
    schema = model.model_json_schema()
    for part in (schema, *schema.get("$defs", {}).values()):
        names.update(part.get("properties", {}))
    return names
