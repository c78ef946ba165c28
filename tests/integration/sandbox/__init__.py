"""The sandbox Stripe over HTTP, worked by the official SDK."""
