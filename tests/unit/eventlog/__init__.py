"""Tests of the log that need no I/O."""
