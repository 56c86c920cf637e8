"""Faults on purpose: killed processes, poisoned accounts, runs that meet, operators who interfere."""
