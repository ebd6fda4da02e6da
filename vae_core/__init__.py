"""The VAE core: config, data, models, objectives, trainer, evaluation. Knows no tracker, no search and no cluster."""
