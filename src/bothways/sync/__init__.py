"""The pure heart: what to write where. No I/O, no clock, no randomness; imports only the model."""
