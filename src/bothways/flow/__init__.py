"""Delivery both ways, polling, backfill, retries, supervision."""
