"""Tests: the command line against real servers."""
