"""Operating a cluster from outside of it: the HTTP API, and the clients for it."""
