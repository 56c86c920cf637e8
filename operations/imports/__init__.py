"""Reading any publisher's subscriber file into accounts and subscriptions.
Streams, resumes, and accounts for every row."""
