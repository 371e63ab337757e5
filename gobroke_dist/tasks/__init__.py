"""Strictly ordered WORKER queues on stock Dramatiq: the only package that imports it."""
