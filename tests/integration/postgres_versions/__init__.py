"""What holds on each version of PostgreSQL."""
