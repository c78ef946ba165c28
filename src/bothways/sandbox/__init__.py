"""Stateful stand-ins for remote systems, with faults on demand."""
