"""The charge key: one name for one charge, so that the database can refuse to bill it twice (law I3).

A key is 16 bytes in UUID form. Its upper half is the upper half of its owner's id, so the keys of one owner lie
side by side in the index (a run that goes through subscriptions in id order writes the index in order, and the
lines of one item are found by a range); its lower half is a digest of the owner's whole id and all the parts.
"""

from __future__ import annotations

from hashlib import sha256


def charge_key(owner: str, charge: str) -> str:
    """The key of the charge of `owner` that the text `charge` names.

    For recurring and usage prices the owner is the subscription item (whose row is the change that opened the
    span), and the text names price, part of a bundle and service period; for a discount or tax the owner is the
    parent's key, and the text the coupon or jurisdiction; for one-time charges and credits the owner is the
    purchase, command or issue. `owner` is a UUID in its 36-character form.
    """
    digest = sha256(f"{owner}|{charge}".encode()).hexdigest()
    return f"{owner[:18]}-{digest[:4]}-{digest[4:16]}"


def charge_key_forms(owner: bytes, packed_owner: bytes, charge: bytes) -> tuple[bytes, bytes]:
    """What `charge_key` says, as text and as its 16 bytes, for an owner in the same two forms: a run makes a million of
    them."""
    digest = sha256(owner + b"|" + charge).digest()[:8]
    return owner[:18] + b"-" + digest.hex("-", 6).encode(), packed_owner[:8] + digest


def key_range(owner: str) -> tuple[str, str]:
    """The lowest and highest key that a charge of `owner` can have, both inclusive."""
    return f"{owner[:18]}-0000-000000000000", f"{owner[:18]}-ffff-ffffffffffff"
