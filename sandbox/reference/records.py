"""Records that are kept in step: sales, campaigns, offers, users, support."""

from __future__ import annotations

from typing import Any

from sandbox.reference.memory import Memory, Method, Row, finder, needs, shown
from sandbox.reference.patterns import batch, end, make, put


def _kind_and_key(record: Row) -> str:
    return f"{record.get('kind', '')}:{record['key']}"


def _key(record: Row) -> str:
    return str(record["key"])


def change(row: Row) -> Row:
    """A record as the list of changes tells it."""
    return {"vendor_id": row["id"], "changed_at": None, **shown(row, "kind", "key", "fields")}


def _offering(row: Row) -> Row:
    return {**shown(row, "id", "code", "published"), "url": f"https://news.example/{row['code']}"}


def _user(row: Row) -> Row:
    return shown(row, "id", "external_id", "active", "features")


def _ticket(row: Row) -> Row:
    return shown(row, "id", "reference", "open")


def _customer(row: Row) -> Row:
    return {**shown(row, "id", "key"), "status": "written"}


def _comment(memory: Memory, request: Any) -> Row:
    said = needs(request, "ticket", "reference", "text")
    ticket = memory.get("ticket", said["ticket"])
    row = memory.add("comment", **shown(said, "ticket", "reference", "text"))
    memory.effect("comment", said["reference"], row)
    return _ticket(ticket)


CRM = {
    "upsert": batch("record", "upsert", _kind_and_key),
    "publish_catalog": batch("record", "upsert", _kind_and_key),
}
CAMPAIGNS = {
    "upsert_profiles": batch("profile", "upsert", _key),
    "track": batch("event", "track", _key, once=True),
    "suppress": batch("suppression", "suppress", _key),
}
CMS = {
    "publish": put("offering", "publish", "code", {"published": True}, _offering),
    "withdraw": end("offering", "withdraw", "code", "code", {"published": False}, _offering),
}
PROVISIONING = {
    "put": put("user", "put", "external_id", {}, _user),
    "deactivate": end("user", "deactivate", "external_id", "external_id", {"active": False}, _user),
    "find": finder("user", "external_id", _user),
}
SUPPORT: dict[str, Method] = {
    "upsert_view": put("customer", "upsert_view", "key", {}, _customer),
    "open": make("ticket", "open", "reference", ("customer", "subject"), {"open": True}, _ticket),
    "comment": Method(_comment),
}
