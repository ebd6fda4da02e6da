"""What backs every claim of speed: one command each, both sides of a ratio from one run."""
