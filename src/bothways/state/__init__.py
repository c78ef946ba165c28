"""What the sync remembers, in the user's own database."""
