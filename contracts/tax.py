"""Recording documents at tax engines, across process borders: ids and counts only."""

from __future__ import annotations

from pydantic import BaseModel

TAX_DOCUMENTS_WORKFLOW = "TaxDocuments"
SETTLE_TAX_DOCUMENTS = "settle_tax_documents"


class TaxDocumentsOrder(BaseModel):
    """Record what is due at the engine behind `connection`. resume_away: how often in a row it was found away."""

    connection: str
    resume_away: int = 0


class TaxTurn(BaseModel):
    """One turn over documents that are due. careful: the engine was away, so ask for its health first. changed: calls
    that a person has decided about."""

    connection: str
    careful: bool = False
    changed: list[str] = []


class TaxTurnDone(BaseModel):
    """What a turn came to. settled: documents with nothing left to do; left: documents that are not settled; due: those
    of them that could be looked at now. away: why the engine cannot be reached, in short; empty while it can."""

    settled: int = 0
    left: int = 0
    due: int = 0
    away: str = ""
    after_seconds: float = 0.0
