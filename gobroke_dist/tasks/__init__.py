"""WORKER logic as Dramatiq actors on strictly ordered queues; the only package that imports dramatiq."""
