"""Licences and parcels of what was sold: written down with what gives them, asked of the connected systems step by
step, and stopped when it ends."""
