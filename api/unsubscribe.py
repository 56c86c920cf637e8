"""The link by which readers end marketing mails: one click of a mail program (RFC 8058), or a page with a button.

A GET changes nothing: mail programs and virus scanners follow links.
"""

from __future__ import annotations

import asyncio
import re

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.security import open_route
from operations.mails.unsubscribe import withdraw_consent
from storage.database import transaction

router = APIRouter(prefix="/unsubscribe", tags=["mails"])

_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,64}")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body{{font:18px/1.5 Georgia,serif;max-width:32rem;margin:4rem auto;padding:0 1.25rem;color:#1a1a1a}}
button{{font:inherit;padding:.6rem 1.4rem;background:#1a1a1a;color:#fff;border:0;cursor:pointer}}</style>
</head><body><h1>{title}</h1>{body}</body></html>
"""


@router.get("/{token}", response_class=HTMLResponse, summary="A page with a button that ends marketing mails")
@open_route
async def ask(token: str) -> HTMLResponse:
    """Needs no key. Answers alike for every token."""
    button = '<form method="post"><button type="submit">Unsubscribe</button></form>'
    words = "<p>You will get no more offers. Mails about your subscription go on.</p>"
    return HTMLResponse(_PAGE.format(title="No more offers?", body=words + button), headers=_HEADERS)


@router.post(
    "/{token}",
    response_class=HTMLResponse,
    responses={
        404: {
            "description": "The link is nobody's",
            "content": {"text/html": {"schema": {"type": "string"}}},
        }
    },
    summary="End marketing mails",
)
@open_route
async def unsubscribe(request: Request, token: str) -> HTMLResponse:
    """Needs no key: the token is one. 404 for one that is nobody's; a second time is as good as the first."""

    def run() -> bool:
        with transaction(request.app.state.engine) as connection:
            return withdraw_consent(connection, token)

    if not _TOKEN.fullmatch(token) or not await asyncio.to_thread(run):
        body = "<p>This link is not known. Please copy it whole from the mail.</p>"
        return HTMLResponse(_PAGE.format(title="Not known", body=body), 404, headers=_HEADERS)
    return HTMLResponse(
        _PAGE.format(title="Unsubscribed", body="<p>You get no more offers from us.</p>"), headers=_HEADERS
    )
