"""The processes of an in-memory cluster, and what they share in place of Redis."""
