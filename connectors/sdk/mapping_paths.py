"""Which fields an expression reads, checked against the model of what it is given, before any record is."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin

import jmespath
from jmespath.exceptions import JMESPathError, LexerError, ParseError
from pydantic import BaseModel

from connectors.sdk.located import nearest
from connectors.sdk.mapping_functions import FUNCTIONS

Node = Mapping[str, Any]


@dataclass(frozen=True)
class Shape:
    """What is known of a value. fields: those of a model, closed. item: of a list or of a table's entries.

    With none of these, nothing is known. text: only text fits.
    """

    model: type[BaseModel] | None = None
    item: Shape | None = None
    is_list: bool = False
    is_scalar: bool = False
    text: bool = False
    annotation: Any = Any

    def fields(self) -> dict[str, Shape] | None:
        """The fields of a model, by name; None for anything else."""
        if self.model is None:
            return None
        return {name: shape_of(field.annotation) for name, field in self.model.model_fields.items()}


ANYTHING = Shape()
_SCALAR = Shape(is_scalar=True)


def shape_of(annotation: Any) -> Shape:
    """The shape of what a type annotation allows, None aside."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        rest = [argument for argument in arguments if argument is not type(None)]
        return shape_of(rest[0]) if len(rest) == 1 else ANYTHING
    if hasattr(annotation, "__metadata__"):
        return shape_of(arguments[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Shape(model=annotation, annotation=annotation)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return Shape(item=shape_of(arguments[1]) if len(arguments) > 1 else ANYTHING, annotation=annotation)
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return Shape(item=shape_of(arguments[0]), is_list=True, annotation=annotation)
    if isinstance(annotation, type) and issubclass(annotation, dict):
        return ANYTHING
    if isinstance(annotation, type):
        return Shape(is_scalar=True, text=annotation is str, annotation=annotation)
    return ANYTHING


def parse(expression: str) -> Node:
    """The expression's tree. Raises ValueError in plain words, with the column."""
    try:
        return dict(jmespath.compile(expression).parsed)
    except (LexerError, ParseError) as error:
        column = getattr(error, "lex_position", getattr(error, "lexer_position", None))
        where = f" at column {column + 1}" if column is not None else ""
        raise ValueError(f"{expression!r} is not an expression that JMESPath reads{where}") from None
    except JMESPathError as error:
        raise ValueError(f"{expression!r} is not an expression: {error}") from None


def check(expression: str, source: Shape, tables: Mapping[str, Any]) -> list[str]:
    """What is wrong with an expression: its form, functions, tables and the fields that it reads."""
    try:
        tree = parse(expression)
    except ValueError as error:
        return [str(error)]
    walk = _Walk(tables)
    walk.node(tree, source)
    return walk.problems


class _Walk:
    """One walk over an expression: from the shape that goes in to the shape that comes out."""

    def __init__(self, tables: Mapping[str, Any]) -> None:
        self.problems: list[str] = []
        self._tables = tables

    def node(self, node: Node, at: Shape) -> Shape:
        kind, children = node["type"], node.get("children", [])
        if kind == "field":
            return self._field(str(node["value"]), at)
        if kind in ("subexpression", "pipe", "index_expression"):
            for child in children:
                at = self.node(child, at)
            return at
        if kind in ("projection", "value_projection", "filter_projection"):
            return self._projection(children, at)
        if kind in ("current", "identity"):
            return at
        if kind in ("index", "slice"):
            return at if kind == "slice" or not at.is_list else at.item or ANYTHING
        if kind == "flatten":
            inner = self.node(children[0], at)
            return inner.item if inner.item and inner.is_list and inner.item.is_list else inner
        if kind == "function_expression":
            return self._function(str(node["value"]), children, at)
        if kind == "literal":
            return _SCALAR
        for (
            child
        ) in children:  # what combines: or, and, not, comparisons, multi-selects, expressions as values
            self.node(child, at)
        return ANYTHING

    def _field(self, name: str, at: Shape) -> Shape:
        fields = at.fields()
        if fields is not None:
            if name not in fields:
                self.problems.append(f"there is no field {name!r} to read; {nearest(name, fields)}")
                return ANYTHING
            return fields[name]
        if at.is_scalar or at.is_list:
            what = "a list: write [*] or [0] before it" if at.is_list else "a single value"
            self.problems.append(f"{name!r} is read of {what}")
            return ANYTHING
        return at.item or ANYTHING

    def _projection(self, children: Sequence[Node], at: Shape) -> Shape:
        left = self.node(children[0], at)
        each = left.item or ANYTHING
        for child in children[2:]:
            self.node(child, each)
        inner = self.node(children[1], each)
        return Shape(item=inner, is_list=True)

    def _function(self, name: str, arguments: Sequence[Node], at: Shape) -> Shape:
        if name not in FUNCTIONS:
            self.problems.append(f"there is no function {name!r}; {nearest(name, FUNCTIONS)}")
        elif (wanted := FUNCTIONS[name]) is not None and wanted != len(arguments):
            self.problems.append(f"{name}() takes {wanted} values, not {len(arguments)}")
        elif name == "lookup" and arguments[1]["type"] == "literal":
            table = str(arguments[1]["value"])
            if table not in self._tables:
                self.problems.append(f"there is no table {table!r}; {nearest(table, self._tables)}")
        # What is given to sort_by and the like is read of each item, of which nothing is known here.
        for argument in arguments:
            self.node(argument, ANYTHING if argument["type"] == "expref" else at)
        return ANYTHING
