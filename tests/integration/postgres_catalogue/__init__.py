"""The catalogue and the state on a real PostgreSQL."""
