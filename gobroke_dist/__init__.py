"""gobroke_dist: distributed real-time messaging on Redis."""
