"""A flow as data: what is told to whom, or what is taken from whom, read from a document and checked in itself.

What it names of connectors is checked by whoever loads it together with them (runtime/flow_source.py).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,59}$")]


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def _as_lists(value: Any) -> Any:
    return {name: _as_list(each) for name, each in value.items()} if isinstance(value, dict) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_as_list), Field(min_length=1)]


class FlowDocument(BaseModel):
    """One flow. `on` makes it an outbound one, `from` an inbound one.

    Outbound: events of the kinds `on` (`invoice.*`) tell of a `state`, which, where it fits `where`, is mapped and
    brought `to` a method of a capability (`crm.upsert`). once: one call a subject, for what cannot be undone.
    history: also tell what was before the flow; by default, unless it is `once`. batch: records a call.

    Inbound: what comes `from` a connection, as a kind of webhook (`webhook contact.changed`) or by asking for it
    (`crm.changes contact`, `every` so many seconds), is mapped and given to a `command`.

    It is carried out for the connections that list it in masthead.yaml.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    format: Literal["masthead.flow/1"]
    name: Name
    title: str = ""
    on: Texts | None = None
    where: Annotated[dict[str, tuple[str | int | bool, ...]], BeforeValidator(_as_lists)] = Field(
        default_factory=dict
    )
    state: Literal["account", "subscription", "invoice", "product"] | None = None
    to: str | None = None
    once: bool = False
    history: bool | None = None
    batch: int = Field(default=100, ge=1, le=1000)
    source: str | None = Field(default=None, alias="from")
    command: str | None = None
    every: int = Field(default=60, ge=1, le=86_400)
    drift: Literal["park", "drop_field", "freeze", "evolve"] = "park"
    tables: dict[str, dict[str, Any]] = Field(default_factory=dict)
    map: dict[str, Any]

    @model_validator(mode="after")
    def _one_way(self) -> FlowDocument:
        outward, inward = (self.on, self.state, self.to), (self.source, self.command)
        if all(outward) and not any(inward):
            return self
        if all(inward) and not any(outward):
            return self
        raise ValueError(
            "a flow outwards has `on`, `state` and `to`; a flow inwards has `from` and `command`; not a mix of them"
        )

    @property
    def outbound(self) -> bool:
        """Whether it tells others."""
        return self.on is not None

    @property
    def tells_history(self) -> bool:
        """Whether what was before the flow is told, too."""
        return (not self.once) if self.history is None else self.history


def fits(state: dict[str, Any], where: dict[str, tuple[Any, ...]]) -> bool:
    """Whether a state has, in each field that is named, one of the values given (in a list: at least one)."""
    for name, allowed in where.items():
        value = state.get(name)
        values = value if isinstance(value, list) else [value]
        if not any(each in allowed for each in values):
            return False
    return True
