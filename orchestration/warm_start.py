"""``search.warm_start``: what earlier sweeps have found is told to a new one, where it could have been found by it.

A trial counts if the new sweep could have trained it: with the new sweep's parameters set to the trial's own values the two
configurations are the same, and so are the data. Whatever else differs makes its score one of something else.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dashboards.home import Home
from orchestration.outcome import Outcome
from orchestration.past import Past
from orchestration.spec import SweepSpec, make_trial_config
from orchestration.spec.constraints import Constraints
from orchestration.spec.faults import shown
from orchestration.spec.parameters import Variants
from orchestration.spec.search_space import SearchSpace
from orchestration.spec.start_points import values_in
from orchestration.stored import complete_trials
from orchestration.study import Search

if TYPE_CHECKING:
    from vae_core.config import TrialConfig
    from vae_core.data.config import AnyData
    from vae_core.data.images import ImageData
    from vae_core.data.text import TextData

_NAMED = 3
"""Differing fields that a reason names."""
_VARIANTS = 200
"""Combinations of variants that are tried for one trial."""


@dataclass(frozen=True)
class Source:
    """An earlier sweep, and its complete trials."""

    spec: SweepSpec
    trials: list[Past]


def sources(spec: SweepSpec, where: Home) -> list[Source]:
    """The sweeps of ``search.warm_start.from``.

    Raises:
        LaunchError: the home has not one of them.
    """
    from orchestration.stored_sweeps import stored_sweep

    found = []
    for name in spec.search.warm_start.from_ if spec.search.warm_start else ():
        earlier, _ = stored_sweep(name, where)
        found.append(Source(earlier, complete_trials(earlier, where.study_url(name))))
    return found


def tell_earlier(search: Search, spec: SweepSpec, found: list[Source], data: TextData | ImageData | None) -> list[str]:
    """Tells the search of every trial that could be its own; sentences on how many there were, and why not the others.

    Told again, after a crash in between, it adds only what is missing.
    """
    fingerprint = functools.lru_cache(maxsize=None)(lambda config: config.load().fingerprint)
    match = _Match(spec, data.fingerprint if data is not None else None, fingerprint)
    lines = []
    for source in found:
        used, reasons = 0, Counter[str]()
        for past in source.trials:
            try:
                point, scores = match.found(source.spec, past)
            except _Unlike as reason:
                reasons[str(reason)] += 1
                continue
            search.add_earlier(f"{source.spec.name}/{past.number}", point, scores, past.metrics)
            used += 1
        why = "".join(f"; {count} not: {reason}" for reason, count in reasons.most_common())
        what = "trials" if source.spec.seeds == 1 else f"configurations of {source.spec.seeds} seeds"
        lines.append(f"warm start from {source.spec.name}: {used} of {len(source.trials)} complete {what} used{why}")
    return lines


class _Unlike(Exception):
    """Why a trial could not be one of the new sweep."""


class _Match:
    """Finds a trial's place in the space of a sweep."""

    def __init__(self, spec: SweepSpec, fingerprint: str | None, fingerprint_of: Callable[[AnyData], str]) -> None:
        self._spec = spec
        self._space = SearchSpace(spec.parameters)
        self._outcome = Outcome(spec)
        self._constraints = Constraints(spec)
        self._fingerprint = fingerprint
        self._fingerprint_of = fingerprint_of

    def found(self, earlier: SweepSpec, past: Past) -> tuple[dict[str, Any], list[float]]:
        """Its point under Optuna's names, and its scores in the new sweep's metrics.

        Raises:
            _Unlike: it could not be a trial of the new sweep, or its scores are not known.
        """
        if past.changed:
            raise _Unlike("its parameters changed on the way, by population-based training")
        config = make_trial_config(earlier, past.assignment)
        point = self._point(config)
        scores = self._outcome.scores(past.metrics)
        if scores is None:
            names = " and ".join(metric.name for metric in self._spec.objectives)
            raise _Unlike(f"its {names} was not kept")
        if past.data != (self._fingerprint or self._fingerprint_of(config.data)):
            raise _Unlike("the data have another fingerprint")
        if self._constraints.violation(self._space.assignment(point)):
            raise _Unlike("violates the constraints of this sweep")
        return point, scores

    def _point(self, config: TrialConfig) -> dict[str, Any]:
        reasons = []
        for variants in itertools.islice(self._variants(), _VARIANTS):
            flat = config.flat()
            written = {name: flat[name] for name in self._space.names if name in flat} | variants
            point, faults = values_in(self._spec.parameters, written)
            if faults:
                reasons.append(f"{faults[0].name} is outside, here it {faults[0].message}")
                continue
            try:
                again = make_trial_config(self._spec, self._space.assignment(point))
            except KeyError as missing:
                reasons.append(f"{missing.args[0]} is searched here, and not there")
                continue
            if again == config:
                return point
            here = again.flat()
            differing = [name for name in {**flat, **here} if flat.get(name) != here.get(name)]
            told = [f"{name} is {shown(flat.get(name))} there, and {shown(here.get(name))} here" for name in differing[:_NAMED]]
            reasons.append(", ".join(told))
        raise _Unlike(reasons[0])

    def _variants(self) -> Iterator[dict[str, str]]:
        """Every way to choose variants, of the outermost parameters only; one empty way where there are none."""
        names = [name for name, parameter in self._spec.parameters.items() if isinstance(parameter, Variants)]
        options = [list(parameter.variants) for parameter in self._spec.parameters.values() if isinstance(parameter, Variants)]
        return (dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*options))
