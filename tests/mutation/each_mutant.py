"""A pytest plugin for runs against mutants: the same examples every time, found quickly, and no memory of other tests.

Rules that are cached answer from memory when an earlier test asked the same; a fault in them has to show in each test.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings

from domain import periods

PROFILE = "each_mutant"

settings.register_profile(
    PROFILE,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),  # a failure is enough: nobody reads its smallest example
    suppress_health_check=list(HealthCheck),
)


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """After the profile of all tests, before a test module takes its settings from it."""
    settings.load_profile(PROFILE)


def pytest_runtest_setup() -> None:
    periods.period_at.cache_clear()
    periods.iso.cache_clear()
