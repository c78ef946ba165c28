"""Measurements, side by side with what they are compared to; ``python -m bench`` runs all of them."""
