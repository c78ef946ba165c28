"""Tests: the command line, without I/O."""
