"""The workflow id of a sync and its inverse."""

from __future__ import annotations

import pytest

from contracts.names import parse_sync_id, sync_id


def test_a_sync_s_id_leads_back_to_its_connection() -> None:
    assert parse_sync_id(sync_id("crm-main")) == "crm-main"
    for other in ("sync", "sync/", "webhook-delivery/x"):
        with pytest.raises(ValueError, match="not a workflow id of a sync"):
            parse_sync_id(other)
