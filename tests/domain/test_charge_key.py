"""The charge key: one for each charge, the same each time, and near its owner's others (law I3)."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain.charge_key import charge_key, charge_key_forms, key_range

OWNERS = st.uuids().map(str)
CHARGES = st.text(min_size=1, max_size=60)


def test_a_key_is_what_it_was_last_year() -> None:
    # The database holds keys of this form: a change of it would let everything be billed a second time.
    assert (
        charge_key("0197a0c4-7c1e-7a3b-8d52-0a6f5b1c9d3e", "price|digital|2026-12-01|2027-01-01")
        == "0197a0c4-7c1e-7a3b-241d-8b997546d877"
    )


@given(OWNERS, CHARGES)
def test_a_key_is_a_uuid_in_the_range_of_its_owner(owner: str, charge: str) -> None:
    key = charge_key(owner, charge)
    assert str(UUID(key)) == key
    assert key == charge_key(owner, charge)
    lowest, highest = key_range(owner)
    assert UUID(lowest) <= UUID(key) <= UUID(highest)
    assert key[:18] == owner[:18]


@given(st.lists(st.tuples(OWNERS, CHARGES), max_size=5))
def test_both_forms_say_the_keys(charges: list[tuple[str, str]]) -> None:
    keys = [charge_key(*each) for each in charges]
    texts = [owner.encode() for owner, _ in charges]
    packed = [UUID(owner).bytes for owner, _ in charges]
    assert charge_key_forms(texts, packed, [charge.encode() for _, charge in charges]) == (
        [key.encode() for key in keys],
        [UUID(key).bytes for key in keys],
    )


@given(st.lists(st.tuples(OWNERS, CHARGES), unique=True, max_size=50))
def test_different_charges_have_different_keys(charges: list[tuple[str, str]]) -> None:
    assert len({charge_key(owner, charge) for owner, charge in charges}) == len(charges)


def test_owners_that_share_their_upper_half_do_not_share_keys() -> None:
    one, other = "0197a0c4-7c1e-7a3b-8d52-0a6f5b1c9d3e", "0197a0c4-7c1e-7a3b-8d52-0a6f5b1c9d3f"
    assert key_range(one) == key_range(other)
    assert charge_key(one, "same") != charge_key(other, "same")
