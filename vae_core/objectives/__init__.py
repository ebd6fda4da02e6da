"""Training objectives: what a step minimises."""

from vae_core.objectives.config import AnyObjective, Elbo, ImportanceWeighted, ObjectiveConfig

__all__ = ["AnyObjective", "Elbo", "ImportanceWeighted", "ObjectiveConfig"]
