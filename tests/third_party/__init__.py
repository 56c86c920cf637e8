"""A connector as somebody else would write and install it: a package of its own, found by its entry point."""
