"""A cluster on one machine to look at, and a check that drives it: ``python -m examples.demo --help``."""
