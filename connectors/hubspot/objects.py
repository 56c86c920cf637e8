"""Our records as HubSpot's objects, and its batch answers as an outcome for each record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connectors.sdk.capabilities.crm import CrmChange, CrmKind, CrmRecord
from connectors.sdk.redaction import redact
from connectors.sdk.values import RecordOutcome, RecordStatus

MOST = 100

OBJECT_TYPES = {
    CrmKind.CONTACT: "contacts",
    CrmKind.COMPANY: "companies",
    CrmKind.PRODUCT: "products",
    CrmKind.OPPORTUNITY: "deals",
    CrmKind.QUOTE: "deals",
    CrmKind.TRANSACTION: "deals",
}

#: What is read of each kind beside our key.
READ = {
    CrmKind.CONTACT: ("email", "firstname", "lastname", "phone"),
    CrmKind.COMPANY: ("name", "domain"),
    CrmKind.PRODUCT: ("name", "price"),
    CrmKind.OPPORTUNITY: ("dealname", "amount", "dealstage"),
    CrmKind.QUOTE: ("dealname", "amount", "dealstage"),
    CrmKind.TRANSACTION: ("dealname", "amount", "dealstage"),
}


def upsert_input(record: CrmRecord, id_property: str) -> dict[str, Any]:
    """One input of a batch upsert, by the SDK's names. All values are texts; an empty one clears a property."""
    values = {name: "" if value is None else value for name, value in record.fields.items()}
    return {
        "id": record.key,
        "id_property": id_property,
        "properties": {**values, id_property: record.key},
    }


def outcomes(
    records: Sequence[CrmRecord], answer: Mapping[str, Any], id_property: str
) -> list[RecordOutcome]:
    """The outcome of each record of one batch, in its order. One that the answer does not name is to be sent again."""
    written = {
        (item.get("properties") or {}).get(id_property): str(item["id"])
        for item in answer.get("results") or ()
    }
    refused = _refused(answer)
    return [_outcome(record.key, written, refused) for record in records]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A batch that was refused whole. told: why, by the keys of the records that HubSpot names; it may name none."""

    code: str | None
    message: str
    told: Mapping[str, str] = field(default_factory=dict, repr=False)

    def of(self, batch: Sequence[CrmRecord]) -> list[tuple[CrmRecord, str]]:
        """The records at fault with what is wrong, in words without their personal data. One that is alone is meant."""
        if len(batch) == 1:
            return [(batch[0], _safe(batch[0], self.told.get(batch[0].key, self.message)))]
        return [(record, _safe(record, self.told[record.key])) for record in batch if record.key in self.told]


def read_refusal(body: str | bytes | None) -> Refusal:
    """What a 400 says."""
    try:
        said = json.loads(body or b"{}")
        errors = said.get("errors") or ()
        told: dict[str, list[str]] = {}
        for error in errors:
            for key in (error.get("context") or {}).get("ids") or ():
                told.setdefault(str(key), []).append(str(error.get("message") or "refused"))
        joined = {key: "; ".join(messages) for key, messages in told.items()}
        return Refusal(said.get("category"), str(said.get("message") or "refused"), joined)
    except (ValueError, AttributeError, TypeError):
        return Refusal(None, "HubSpot refused it in words that cannot be read")


def _safe(record: CrmRecord, words: str) -> str:
    return redact(words, [value for value in record.fields.values() if value and len(value) > 1])


def rejected(record: CrmRecord, code: str | None, message: str) -> RecordOutcome:
    """The outcome of a record that was refused."""
    return RecordOutcome(key=record.key, status=RecordStatus.REJECTED, code=code, message=message)


def change(kind: CrmKind, item: Mapping[str, Any], id_property: str) -> CrmChange:
    """An object of a list as a change."""
    properties = item.get("properties") or {}
    changed = item.get("updated_at")
    return CrmChange(
        kind=kind,
        vendor_id=str(item["id"]),
        key=properties.get(id_property) or None,
        fields=properties,
        changed_at=datetime.fromisoformat(changed) if isinstance(changed, str) else changed,
    )


def _refused(answer: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Errors of a 207 by the key of the record that each names."""
    found: dict[str, Mapping[str, Any]] = {}
    for error in answer.get("errors") or ():
        context = error.get("context") or {}
        for name in ("id", "ids", "objectId", "objectWriteTraceId"):
            for key in context.get(name) or ():
                found[str(key)] = error
    return found


def _outcome(
    key: str, written: Mapping[str | None, str], refused: Mapping[str, Mapping[str, Any]]
) -> RecordOutcome:
    if key in written:
        return RecordOutcome(key=key, status=RecordStatus.WRITTEN, vendor_id=written[key])
    error = refused.get(key)
    if error is None:
        return RecordOutcome(
            key=key, status=RecordStatus.RETRY, message="the answer does not name this record"
        )
    return RecordOutcome(
        key=key,
        status=RecordStatus.REJECTED,
        code=error.get("category"),
        message=str(error.get("message") or "refused"),
    )
