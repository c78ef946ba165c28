"""The flow without servers."""
