"""Connectors to vendor systems, one folder a vendor.
They know domain words and third-party libraries, never Temporal and never the database."""
