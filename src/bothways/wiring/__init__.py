"""Settings → objects: the only place that knows everybody."""
