"""Registry and bus on Redis."""
