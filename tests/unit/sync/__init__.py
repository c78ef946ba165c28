"""The pure heart: no I/O, no clocks, no stand-ins."""
