"""The state on a real database: its schema, and how that is brought up."""
