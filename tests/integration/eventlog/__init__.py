"""Tests of the log on real files and a real Kafka."""
