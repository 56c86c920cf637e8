"""The other half of the seeds of the deep suite: a file of its own, so that two workers of pytest share them."""

from __future__ import annotations

import pytest

from tests.faults.payment_play import Seeds

pytestmark = pytest.mark.deep


@pytest.mark.parametrize("first", range(1101, 1201, 25))
def test_each_paid_invoice_is_charged_once(payment_seeds: Seeds, first: int) -> None:
    payment_seeds.play_all(range(first, first + 25))
