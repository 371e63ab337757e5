"""Who may connect, send and ask, and how much of it (contract E2, E3)."""
