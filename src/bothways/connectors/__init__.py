"""One folder a system, one file a role."""
