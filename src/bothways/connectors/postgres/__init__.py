"""PostgreSQL as the catalogue."""
