"""Records that both sides have already: plan and backfill, on real servers."""
