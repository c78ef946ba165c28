"""What the HTTP part decides without a socket."""
