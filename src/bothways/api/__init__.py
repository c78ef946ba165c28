"""HTTP: webhooks, records, health and metrics of one process."""
