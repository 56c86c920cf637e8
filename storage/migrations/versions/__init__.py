"""The schema's steps, oldest first by revision number.
Written by hand in SQL terms, tested on a filled database."""
