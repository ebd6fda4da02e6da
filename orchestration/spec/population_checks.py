"""Whether a sweep can be trained as a population: ``early_terminate: {type: pbt}`` with the rest of the file."""

from __future__ import annotations

from collections.abc import Iterator

from orchestration.spec.annealing import MANY_STEPS, first_candidate
from orchestration.spec.early_terminate import Pbt
from orchestration.spec.faults import Fault, listed, nearest_name
from orchestration.spec.parameters import AnyParameter, Choices, Variants
from orchestration.spec.sections import SweepSpec
from orchestration.spec.trial_checks import Trials
from orchestration.spec.yaml_source import Source
from vae_core.config import TrialConfig
from vae_core.mutable import MUTABLE

METHODS = ("random", "qmc", "grid")
"""Methods whose every point is drawn before a trial has ended."""


def population_faults(source: Source, spec: SweepSpec, trials: Trials) -> Iterator[Fault]:
    """Every fault of pbt with the rest of the file; ``spec`` may lack sections that are faulty themselves."""
    rule = spec.early_terminate
    if not isinstance(rule, Pbt):
        return
    if spec.method not in METHODS:
        reason = f"{spec.method} learns from trials that have ended, and with pbt all begin before any ends"
        yield source.fault(("method",), f"{reason}; {listed(METHODS)} do not")
    if spec.seeds > 1:
        yield source.fault(("seeds",), "a population is trained under one seed: weights go from trial to trial", key=True)
    if source.tree.get("run_cap") == 1:
        yield source.fault(("run_cap",), "must be at least 2: with pbt it is the size of the population")
    unfit = {name: parameter for name, parameter in spec.parameters.items() if not _fits(name, parameter)}
    if unfit:
        there = {name for config, _ in trials.made for name in config.flat()}
        mutable = [name for name in MUTABLE if name in there or not there]
        yield from (_immutable(source, name, parameter, mutable) for name, parameter in unfit.items())
    for place, name in enumerate(rule.parameters or ()):
        if name not in spec.parameters:
            message = f"is not searched; searched are: {listed(list(spec.parameters))}"
            yield source.fault(
                ("early_terminate", "parameters", place), message, nearest=nearest_name(name, list(spec.parameters))
            )
    yield from _without_barrier(source, rule, trials)


def _fits(name: str, parameter: AnyParameter) -> bool:
    return name in MUTABLE and not isinstance(parameter, Choices | Variants)


def _immutable(source: Source, name: str, parameter: AnyParameter, mutable: list[str]) -> Fault:
    if isinstance(parameter, Variants):
        message = "variants cannot be searched with pbt, which changes single numbers and values in the middle of a training"
    else:
        message = f"cannot change in the middle of a training, as pbt wants; what can: {', '.join(mutable)}"
    return source.fault(("parameters", name), message, nearest=nearest_name(name, mutable), key=True)


def _without_barrier(source: Source, rule: Pbt, trials: Trials) -> Iterator[Fault]:
    """Annealing that leaves no barrier before the last epoch."""
    if not trials.made:
        return
    latest, epochs = max((_annealed_by(config), config.training.epochs) for config, _ in trials.made)
    first = -(-latest // rule.interval) * rule.interval
    if rule.interval < epochs <= first:
        message = f"annealing takes about {latest} of {epochs} epochs, which leaves no barrier before the last one: take less"
        yield source.fault(("early_terminate", "interval"), message)


def _annealed_by(config: TrialConfig) -> int:
    """About the epoch by which annealing has ended."""
    return first_candidate(config, MANY_STEPS)
