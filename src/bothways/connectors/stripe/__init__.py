"""Stripe as a remote system."""
