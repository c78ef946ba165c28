"""What the program says of itself: logs and metrics. Imports nothing of ours."""
