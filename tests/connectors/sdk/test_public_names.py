"""What authors import: one list, in order, without what is not meant for them."""

from __future__ import annotations

import masthead.sdk


def test_the_public_names_are_one_sorted_list_of_what_there_is() -> None:
    names = masthead.sdk.__all__
    assert names == sorted(set(names))
    assert [name for name in names if not hasattr(masthead.sdk, name)] == []


def test_what_a_connector_of_the_contract_needs_is_among_them() -> None:
    needed = {
        "ApiKey",
        "Config",
        "Connector",
        "Http",
        "Key",
        "Rate",
        "Rejected",
        "Secret",
        "TaxEngine",
        "native",
        "on",
    }
    assert needed <= set(masthead.sdk.__all__)
