"""Keyed dispatch, offsets, back-off and supervision."""
