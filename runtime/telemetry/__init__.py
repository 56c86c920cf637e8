"""What a running process says of itself: log lines, metrics, readiness, traces. Composed in `process.py`; each part can
be left out, and what is left out costs nothing."""
