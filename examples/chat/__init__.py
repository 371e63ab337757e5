"""A chat with rooms on any number of edges and workers: see ``app.py``."""
