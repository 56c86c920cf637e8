"""Licences and parcels, asked of the stand-in of the systems that give them."""
