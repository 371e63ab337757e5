"""Registry and bus within one process: for tests, and the plainest statement of the ports' semantics."""
