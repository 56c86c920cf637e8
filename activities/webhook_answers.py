"""What an endpoint's answer is called, and what of it may be shown."""

from __future__ import annotations

import json
import re

from connectors.sdk.outcomes import Phase
from connectors.sdk.redaction import redact, redact_value
from connectors.sdk.transport import Delivered

LONGEST_EXCERPT = 300

# Beside what the SDK takes out, what looks like a secret or like a person's: this is a stranger's text, whose secrets
# nobody has taught us. Rather too much than too little.
_HIDDEN = (
    (re.compile(r"(?i)\b(bearer|basic)\s+(?!\[)\S+"), r"\1 [hidden]"),
    (
        re.compile(
            r"(?i)((?<!\[)(?:password|passwd|secret|token|api[_-]?key|authorization)\W{1,4})[^\s\"',;}]+"
        ),
        r"\1[hidden]",
    ),
    (re.compile(r"\b(?:whsec|sk|pk|rk|mh)_[\w+/=-]+"), "[hidden]"),
    (re.compile(r"\beyJ[\w-]+(\.[\w-]+){1,2}"), "[hidden]"),
    (re.compile(r"[A-Za-z0-9+/_=-]{32,}"), "[hidden]"),
    (re.compile(r"\+?\d[\d ./()-]{7,}\d"), "[number]"),
)
_UNPRINTABLE = re.compile(r"[^\S ]+|[^\x20-\U0010ffff]|[\x7f-\x9f]|[\ud800-\udfff]")


def error_kind(done: Delivered) -> str | None:
    """None for a 2xx; else refused (the guard did not let it), not_sent, no_answer, or http_ with the status."""
    if done.status is not None:
        return None if 200 <= done.status < 300 else f"http_{done.status}"
    if done.refused:
        return "refused"
    return "not_sent" if done.phase is Phase.NOT_SENT else "no_answer"


def excerpt(done: Delivered) -> str | None:
    """The start of an answer, or of what went wrong, with what may be secret or personal hidden."""
    if done.status is None:
        return done.problem[:LONGEST_EXCERPT] or None
    # The cut before the hiding is generous, so that nothing is halved out of a pattern's sight.
    text = _UNPRINTABLE.sub(" ", redact(_readable(done.content)))
    for pattern, instead in _HIDDEN:
        text = pattern.sub(instead, text)
    return text.strip()[:LONGEST_EXCERPT] or None


def _readable(content: bytes) -> str:
    """JSON with what its fields' names call secret or personal masked; anything else as text."""
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        return content[: LONGEST_EXCERPT * 8].decode("utf-8", "replace")
    return json.dumps(redact_value(parsed), ensure_ascii=False)[: LONGEST_EXCERPT * 8]
