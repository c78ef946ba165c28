"""Stripe: calls, events and webhooks."""
