"""The ways by which the vendors' own libraries speak through our one way out: same guard, budget, log and errors."""
