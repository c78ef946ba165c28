"""The sandbox Stripe, without I/O."""
