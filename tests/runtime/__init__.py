"""Tests of the runtime: settings, the embedded stack, the command line."""
