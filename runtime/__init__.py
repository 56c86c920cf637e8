"""Composition: settings, Temporal client, embedded stack, command line.
The only room that may import every other."""
