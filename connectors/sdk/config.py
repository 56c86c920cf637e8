"""A connector's configuration: a pydantic model whose secrets are references, never values."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/.+")


class MissingSecret(ValueError):
    """A secret reference leads nowhere. The message names the reference and says what to do, never a value."""


class Secret:
    """A reference to a secret: `env:NAME` or `file:/absolute/path`. Shown as it is, for it reveals nothing.

    The value is resolved at send time by the connector's context and lives nowhere else.
    """

    __slots__ = ("reference",)

    def __init__(self, reference: str) -> None:
        if not _REFERENCE.fullmatch(reference):
            # What was given may be the secret itself, put here by mistake: it is not repeated.
            raise ValueError("write env:NAME or file:/absolute/path, not the secret itself")
        self.reference = reference

    def __repr__(self) -> str:
        return f"Secret({self.reference!r})"

    def __str__(self) -> str:
        return self.reference

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reference == self.reference

    def __hash__(self) -> int:
        return hash(self.reference)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from_text = core_schema.no_info_after_validator_function(cls, core_schema.str_schema())
        return core_schema.json_or_python_schema(
            json_schema=from_text,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), from_text]),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": "secret-reference", "pattern": "^(env:|file:/)"}


class Config(BaseModel):
    """What a connection of a connector is configured with. Unknown fields are errors; values never change.

    A field of type `Secret` is a reference. Give each field a description: it becomes the prompt, the JSON Schema
    and the documentation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def secrets(self) -> dict[str, Secret]:
        """The secret references by field name."""
        return {
            name: value
            for name in type(self).model_fields
            if isinstance(value := getattr(self, name), Secret)
        }
