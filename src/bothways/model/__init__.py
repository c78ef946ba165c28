"""The words of the sync as plain data: no I/O, and nothing of ours is imported here."""
