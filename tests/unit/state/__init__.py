"""The state, without a database."""
