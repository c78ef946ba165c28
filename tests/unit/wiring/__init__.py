"""Tests: settings against tables and objects."""
