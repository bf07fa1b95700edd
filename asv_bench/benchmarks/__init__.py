"""Benchmarks of `routines` over its commits, for asv; see README.md."""
