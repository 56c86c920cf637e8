"""HubSpot's CRM: objects by unique property, batches with an answer per record, a search that lags,
quotas, OAuth tokens that expire and signed webhooks."""
