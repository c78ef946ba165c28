"""What the sync remembers, as tables beside the user's own: links, attempts, seen events, what waits, what people see.

Written once for every database: SQLAlchemy Core, and the few statements that differ given by the connector (``store``).
"""
