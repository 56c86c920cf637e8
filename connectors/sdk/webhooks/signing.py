"""What is signed, and the signature of it: the part that signing and verifying share."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from connectors.sdk.webhooks.recipe import Recipe
from connectors.sdk.webhooks.sources import as_text, at_path
from connectors.sdk.webhooks.values import WebhookRequest


def signed_bytes(recipe: Recipe, request: WebhookRequest, timestamp: str, item: object = None) -> bytes:
    """The bytes that the signature of `request` covers; of one `item` of it where items are signed.

    Raises ValueError when a signed field of the item is an object or a list.
    """
    pieces: list[bytes] = []
    for slot, value in recipe.parts:
        match slot:
            case "body":
                pieces.append(request.body)
            case "timestamp":
                pieces.append(_bytes(timestamp))
            case "method":
                pieces.append(_bytes(request.method.upper()))
            case "url":
                pieces.append(_bytes(decode_only(request.public_url, recipe.url_decoded)))
            case "header":
                pieces.append(_bytes(request.headers.get(value, "")))
            case "item":
                pieces.append(_bytes(as_text(at_path(item, value))))
            case _:
                pieces.append(value.encode())
    return b"".join(pieces)


def signature_of(recipe: Recipe, key: bytes, signed: bytes) -> bytes:
    """HMAC-SHA256 in the recipe's writing."""
    digest = hmac.new(key, signed, hashlib.sha256)
    if recipe.signature.encoding == "hex":
        return digest.hexdigest().encode()
    return base64.b64encode(digest.digest())


def is_signed(recipe: Recipe, keys: list[bytes], signed: bytes, candidates: list[str]) -> bool:
    """Whether one of `candidates` is the signature by one of `keys`, compared in constant time. The text has to be the
    very one, hex in lower case: the same bytes can be written in more than one way."""
    given = [_bytes(text) for text in candidates]
    fits = False
    for key in keys:
        expected = signature_of(recipe, key, signed)
        for candidate in given:
            fits |= hmac.compare_digest(expected, candidate)
    return fits


def decode_only(url: str, characters: str) -> str:
    """`url` with the percent-encoded forms of `characters`, and no others, decoded."""
    if not characters or "%" not in url:
        return url
    codes = "|".join(f"{ord(character):02X}" for character in characters)
    return re.sub(f"%({codes})", lambda match: chr(int(match[1], 16)), url, flags=re.IGNORECASE)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
