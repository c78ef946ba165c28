"""HTTP: records, webhooks, health, metrics."""
