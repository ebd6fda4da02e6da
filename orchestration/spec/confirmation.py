"""The section ``confirm`` of a sweep file, and the form of the sweeps that ``vae-sweeps confirm`` makes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from orchestration.spec.parameters import AnyParameter, Values, Variants
from vae_core.configurable import Config, Count

MAX_CONFIRMED = 100
SEED, CONFIGURATION = "seed", "configuration"


class Confirm(Config):
    """What `vae-sweeps confirm` trains when its flags do not say otherwise."""

    top: Annotated[int, Field(ge=1, le=MAX_CONFIRMED)] = 5
    """The best configurations of the search."""
    seeds: Count = 5
    """Fresh seeds, the same for each configuration; below five, no interval over seeds can reach 95 %."""


def confirmation_parameters(trials: Mapping[int, Mapping[str, object]], seeds: list[int]) -> dict[str, object]:
    """The parameters of a confirmation, as a sweep file has them: of the grid, all configurations under one seed, then the next.

    Args:
        trials: the values by dotted name, by the search's trial number.
    """
    variants = {str(number): dict(assignment) for number, assignment in trials.items()}
    return {SEED: {"values": seeds}, CONFIGURATION: {"variants": variants}}


def confirmation_tags(sweep: str | None, parameters: Mapping[str, AnyParameter]) -> dict[str, str]:
    """What the record says of a confirmation; nothing where ``sweep``, the one that is confirmed, is None."""
    found = confirmed(parameters)
    if sweep is None or found is None:
        return {}
    trials, seeds = found
    return {"confirms": sweep, "confirms.plan": json.dumps({"trials": trials, "seeds": seeds})}


def confirmed(parameters: Mapping[str, AnyParameter]) -> tuple[list[int], list[int]] | None:
    """The search's trials and the fresh seeds of a confirmation's parameters; None where they are not of that form."""
    seeds, configurations = parameters.get(SEED), parameters.get(CONFIGURATION)
    if list(parameters) != [SEED, CONFIGURATION] or not isinstance(seeds, Values) or not isinstance(configurations, Variants):
        return None
    numbers = [seed for seed in seeds.values if isinstance(seed, int) and not isinstance(seed, bool)]
    if len(numbers) < len(seeds.values) or not all(name.isdecimal() for name in configurations.variants):
        return None
    return [int(name) for name in configurations.variants], numbers
