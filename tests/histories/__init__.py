"""Histories of workflows as they ran when they were recorded (`python -m tests.histories.record`)."""
