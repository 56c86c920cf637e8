"""Changing one account: loaded whole under its lock, changed by the rules, written back with events and the outcome
of the command, in one transaction."""
