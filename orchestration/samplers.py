"""The methods of search: each kind's maker, and what each can do.

A sampler is made anew for each number of the sweep, from a seed of its own. What it draws may depend on that seed and on what the
study holds, and on nothing else: then an interrupted sweep draws as one that was left alone.
``grid`` and ``qmc`` need no sampler: they are sequences of points (``orchestration.spec.sequences``).
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna

    from orchestration.spec import Search


@dataclass(frozen=True)
class Draw:
    """What a sampler is made for."""

    number: int
    """Of the sweep's trial."""
    seed: int
    search: Search
    startup_trials: int
    """``search.startup_trials`` and what was drawn in vain, which shall not use them up."""
    earlier: Sequence[optuna.trial.FrozenTrial]
    """Trials of other sweeps, in the study since before the first draw."""


def make_sampler(method: str, draw: Draw) -> optuna.samplers.BaseSampler:
    """The sampler of one draw."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return MAKERS[method](draw)


def _random(draw: Draw) -> optuna.samplers.BaseSampler:
    """Also what draws the rest of a start point for a method that is a sequence."""
    import optuna

    return optuna.samplers.RandomSampler(seed=draw.seed)


def _tpe(draw: Draw) -> optuna.samplers.BaseSampler:
    """The tree-structured Parzen estimator (Bergstra et al. 2011); for several metrics MOTPE (Ozaki et al. 2022)."""
    import optuna

    return optuna.samplers.TPESampler(seed=draw.seed, n_startup_trials=draw.startup_trials)


def _gp(draw: Draw) -> optuna.samplers.BaseSampler:
    """A Gaussian process and the logarithm of the expected improvement (Ament et al. 2023)."""
    import optuna
    import torch

    torch.set_num_threads(1)  # sums in another order are other numbers: the same draws on any number of cores
    return optuna.samplers.GPSampler(seed=draw.seed, n_startup_trials=draw.startup_trials)


def _cmaes(draw: Draw) -> optuna.samplers.BaseSampler:
    """Covariance matrix adaptation (Hansen 2016); warm starts by Nomura et al. (2021)."""
    import optuna

    class Numbered(optuna.samplers.CmaEsSampler):
        """Optuna seeds each draw by the trial's number in the study, which an interruption shifts: by the sweep's number here."""

        def sample_relative(
            self,
            study: optuna.Study,
            trial: optuna.trial.FrozenTrial,
            search_space: dict[str, optuna.distributions.BaseDistribution],
        ) -> dict[str, Any]:
            numbered = copy.copy(trial)
            numbered.number = draw.number
            return super().sample_relative(study, numbered, search_space)

    earlier = list(draw.earlier) or None
    return Numbered(seed=draw.seed, popsize=draw.search.population, source_trials=earlier, warn_independent_sampling=False)


def _nsga2(draw: Draw) -> optuna.samplers.BaseSampler:
    """The elitist genetic algorithm with crowding distance (Deb et al. 2002)."""
    import optuna

    return optuna.samplers.NSGAIISampler(seed=draw.seed, population_size=draw.search.population or 50)


def _nsga3(draw: Draw) -> optuna.samplers.BaseSampler:
    """The same with reference points, for three metrics and more (Deb and Jain 2014)."""
    import optuna

    return optuna.samplers.NSGAIIISampler(seed=draw.seed, population_size=draw.search.population or 50)


MAKERS: Mapping[str, Callable[[Draw], optuna.samplers.BaseSampler]] = {
    "random": _random,
    "grid": _random,
    "qmc": _random,
    "tpe": _tpe,
    "gp": _gp,
    "cmaes": _cmaes,
    "nsga2": _nsga2,
    "nsga3": _nsga3,
}
"""The table of methods."""
