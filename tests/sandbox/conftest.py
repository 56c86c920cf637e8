"""Stand-ins that run for a test, empty."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.stripe.stand_in import StripeStandIn
from tests.sandbox.acme import AcmeStandIn


@pytest.fixture
def acme() -> Iterator[AcmeStandIn]:
    with AcmeStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def stripe_stand_in() -> Iterator[StripeStandIn]:
    with StripeStandIn() as stand_in:
        yield stand_in
