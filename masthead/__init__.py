"""The public face for connector authors.
It re-exports names; it holds no code of its own."""
