"""Ways for clients to reach an edge. Imports gobroke_dist's public names only."""
