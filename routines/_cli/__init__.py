"""What `python -m routines` runs: the digest command and the tour. Nothing here is public API."""
