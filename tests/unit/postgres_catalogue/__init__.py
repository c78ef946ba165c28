"""The catalogue on PostgreSQL, without a server."""
