"""Training objectives: what a step minimises."""

from vae_core.objectives.config import (
    AnyObjective,
    BetaTcVae,
    Elbo,
    FactorVae,
    ImportanceWeighted,
    ObjectiveConfig,
    WaeAdversary,
    WaeMmd,
)

__all__ = [
    "AnyObjective",
    "BetaTcVae",
    "Elbo",
    "FactorVae",
    "ImportanceWeighted",
    "ObjectiveConfig",
    "WaeAdversary",
    "WaeMmd",
]
