"""The Stripe connector, without I/O."""
