"""The Stripe connector against the sandbox."""
