"""Posteriors, priors, and the divergence between them; ``config`` lists the two families."""
