"""JSON routes for operators and integrators, each behind an API key.
Models in and out are separate; errors are RFC 9457 problem details."""
