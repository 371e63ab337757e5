"""Bytes to envelopes and back: between nodes, into a queue, and to a client."""
