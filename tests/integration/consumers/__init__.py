"""Others' consumers of our topics, and others' captures beside ours."""
