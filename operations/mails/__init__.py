"""Mails to customers: recorded from the event log, composed when they are sent, sent once."""
