"""Hypothesis for the rules: as many examples as usual, and no clock, for a busy machine is no failing rule."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("rules", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rules")
