"""Capture's parts without a server."""
