"""The charge key: one name for one charge, so that the database can refuse to bill it twice (law I3).

A key is 16 bytes in UUID form. Its upper half is the upper half of its owner's id, so the keys of one owner lie
side by side in the index (a run that goes through subscriptions in id order writes the index in order, and the
lines of one item are found by a range); its lower half is a digest of the owner's whole id and all the parts.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def charge_key_forms(
    owners: Sequence[bytes], packed_owners: Sequence[bytes], charges: Sequence[bytes]
) -> tuple[list[bytes], list[bytes]]:
    """What `charge_key` says of a charge of each of many owners, as texts and as 16 bytes each, for owners in the same
    two forms: a run makes a million of them."""
    digests = [sha256(b"%b|%b" % said).digest()[:8] for said in zip(owners, charges, strict=True)]
    return (
        [
            owner[:18] + b"-" + digest.hex("-", 6).encode()
            for owner, digest in zip(owners, digests, strict=True)
        ],
        [owner[:8] + digest for owner, digest in zip(packed_owners, digests, strict=True)],
    )


def key_range(owner: str) -> tuple[str, str]:
    """The lowest and highest key that a charge of `owner` can have, both inclusive."""
    return f"{owner[:18]}-0000-000000000000", f"{owner[:18]}-ffff-ffffffffffff"
