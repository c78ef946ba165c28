"""Capture on a real PostgreSQL."""
