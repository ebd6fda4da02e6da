"""The plan of a sweep: what is known from its file alone, and, from a short profile, what it will cost."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from orchestration.planning.draws import Drawn, draw, known_trials
from orchestration.planning.simulate import NO_LIMIT, Course, Limit, Played, replay
from orchestration.planning.structure import Structure, count_structures, label_of, structure_of
from orchestration.spec import Assignment, Resources, SearchSpace, SweepSpec, planned_trials
from orchestration.spec.annealing import MANY_STEPS, first_candidate
from orchestration.spec.beware import warnings_of
from orchestration.spec.confirmation import SEED
from orchestration.spec.early_terminate import Asha, Hyperband, NoStopping, Patient, Pbt, Wilcoxon
from orchestration.spec.parameters import AnyParameter, Choices, Range, Variants
from orchestration.spec.variants import in_words
from orchestration.stopping import stopping_rule

if TYPE_CHECKING:
    from orchestration.planning.figures import Estimate
    from vae_core.config import TrialConfig

_REPLAYED_EPOCHS = 200_000
"""Of all replays together, which is about a second."""


@dataclass(frozen=True)
class Parameter:
    """A row of the space."""

    name: str
    values: str
    """In words."""
    count: int | None
    """None: continuous."""


@dataclass(frozen=True)
class Rung:
    """An epoch at which trials are stopped; means over replays."""

    epoch: int
    reach: float
    """Trials that train so long, and further if nothing stops them."""
    annealing: float
    """Of them still annealing, so that they are not judged."""
    go_on: float


@dataclass
class Plan:
    """What a sweep will be."""

    name: str
    question: str
    method: str
    metrics: list[str]
    space: list[Parameter]
    grid_points: int | None
    """None: a parameter is continuous."""
    structures: int
    """Combinations that differ in what they compute."""
    structures_exact: bool
    """Whether that is counted; else it is an upper bound."""
    trials: int
    seeds: int
    """Of each configuration."""
    known: int
    """Of them, from the first on, those that depend on no result."""
    drawn: list[dict[str, Any]]
    """number of the trial, or of the configuration where each has several seeds; parameters; whether ``run`` draws just this."""
    impossible: int
    """Drawn trials that make no trial: ``run`` will say FAILED."""
    epochs: tuple[int, int]
    """A trial: fewest and most."""
    annealed_after: tuple[int, int]
    """The first epoch that may be selected or judged: earliest and latest."""
    stopping: str
    rungs: list[Rung]
    stopped: float
    """Trials that are stopped, of all; a mean over replays."""
    at_once: int
    limited_by: str
    interval: int | None = None
    """Of a population: epochs between two barriers."""
    takers: int = 0
    """Of a population: trials that take over at each, at most."""
    steps_per_epoch: tuple[int, int] | None = None
    """None where the data were not loaded."""
    steps: tuple[int, int] | None = None
    """A trial: fewest and most."""
    notes: list[str] = field(default_factory=list)
    estimate: Estimate | None = None
    """None without a profile."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def make_plan(
    spec: SweepSpec,
    *,
    profile: Literal["none", "short"] = "short",
    trials: int = 10,
    seconds: float = 60.0,
    tell: Callable[[str], None] = lambda line: None,
) -> Plan:
    """Plans a sweep; changes nothing anywhere.

    Args:
        profile: none: from the file alone, without loading data or torch.
        trials: of the sampled ones, so many are told.
        seconds: that the profile may train and score, over all structures, without loading.
        tell: is told how it goes.

    Raises:
        LaunchError: the data cannot be read, or the machine has not what a trial takes.
    """
    drawn = draw(spec)
    made = [one for one in drawn if one.config is not None]
    configs = [one.config for one in made if one.config is not None]
    at_once, limited_by = concurrency(spec.resources, planned_trials(spec))
    plan = _static(spec, drawn, configs, trials, at_once, limited_by)
    if profile == "short" and configs:
        from orchestration.planning.estimate import estimate

        groups: dict[Structure, list[Drawn]] = {}
        for one, config in zip(made, configs, strict=True):
            groups.setdefault(structure_of(config), []).append(one)
        labels = {structure: label_of(own[0].assignment, structure) for structure, own in groups.items()}
        estimate(plan, spec, made, groups, labels, seconds, tell)
    return plan


def concurrency(resources: Resources, trials: int, cores: int | None = None, gpus: int | None = None) -> tuple[int, str]:
    """How many trials run at once, as Ray will place them, and what limits them.

    Args:
        gpus: None where they were not counted: as many as are wanted.
    """
    cores = cores or os.cpu_count() or 1
    asked = resources.max_concurrent_trials
    cpus = cores if asked is None else math.ceil(asked * resources.cpu)  # the launcher gives Ray as many as asked for
    limits = {"the cores": math.floor(cpus / resources.cpu + 1e-9), "the trials": trials}
    if asked is not None:
        limits["resources.max_concurrent_trials"] = asked
    if resources.gpu > 0 and gpus is not None:
        limits["the GPUs"] = math.floor(gpus / resources.gpu + 1e-9)
    least = min(limits.values())
    told = [name for name, limit in limits.items() if limit == least]
    return max(1, least), told[-1]


def play_through(
    spec: SweepSpec, courses: Sequence[Course], at_once: int, *, stopping: bool = True, timed: bool = True
) -> list[Played]:
    """The sweep under results drawn at random; without its rule and its budget it always takes the same.

    Args:
        timed: whether the courses' times are known; where they are not, the budget ends nothing.
    """
    epochs = sum(course.epochs for course in courses)
    times = max(3, min(200, _REPLAYED_EPOCHS // max(epochs, 1)))
    if not stopping:
        return replay(courses, lambda: stopping_rule(None), at_once, 1)
    return replay(courses, lambda: stopping_rule(spec.early_terminate), at_once, times, limit_of(spec) if timed else NO_LIMIT)


def limit_of(spec: SweepSpec) -> Limit:
    """The budget's wall time and device hours."""
    hours, each = spec.budget.device_hours, spec.resources.gpu or spec.resources.cpu
    return Limit(spec.budget.wall_time_s, math.inf if hours is None else 3600 * hours / each)


def repeated(courses: Sequence[Course], trials: int) -> list[Course]:
    """As many as the sweep has, where fewer were drawn."""
    return [courses[place % len(courses)] for place in range(trials)]


def rungs_of(spec: SweepSpec, played: Sequence[Played], courses: Sequence[Course]) -> list[Rung]:
    """The epochs at which the rule stops trials, with what comes to each and goes on."""
    rule, longest = spec.early_terminate, max((course.epochs for course in courses), default=0)
    if not isinstance(rule, Asha | Hyperband):
        return []
    epochs, epoch = [], rule.min_epochs
    while epoch < longest:
        epochs.append(epoch)
        epoch *= rule.eta
    mean = len(played)
    found = []
    for epoch in epochs:
        judged = sum(one.judged_at[epoch] for one in played) / mean
        reach = sum(one.reached[epoch] for one in played) / mean
        found.append(Rung(epoch, reach, reach - judged, reach - sum(one.stopped_at[epoch] for one in played) / mean))
    return found


def _static(spec: SweepSpec, drawn: list[Drawn], configs: list[TrialConfig], told: int, at_once: int, limited_by: str) -> Plan:
    structures, exact = count_structures(spec)
    candidates = [first_candidate(config, MANY_STEPS) for config in configs]
    courses = [Course(config.training.epochs, candidate) for config, candidate in zip(configs, candidates, strict=True)]
    trials = planned_trials(spec)
    played = play_through(spec, repeated(courses, trials), at_once, timed=False) if courses else []
    rule = spec.early_terminate
    return Plan(
        name=spec.name,
        question=spec.question,
        method=spec.method,
        metrics=[f"{metric.goal} {metric.name}" for metric in spec.objectives],
        space=list(_rows(spec.parameters, "")),
        grid_points=SearchSpace(spec.parameters).size(),
        structures=structures,
        structures_exact=exact,
        trials=trials,
        seeds=spec.seeds,
        known=known_trials(spec),
        drawn=[
            {"number": one.number // spec.seeds, "parameters": _words_of(spec, one.assignment), "known": one.known}
            for one in drawn[: told * spec.seeds : spec.seeds]
        ],
        impossible=sum(one.config is None for one in drawn),
        epochs=_ends([config.training.epochs for config in configs]),
        annealed_after=_ends(candidates),
        stopping="none" if rule is None else rule.type,
        rungs=rungs_of(spec, played, courses),
        stopped=sum(sum(one.stopped_at.values()) for one in played) / max(len(played), 1),
        at_once=at_once,
        limited_by=limited_by,
        interval=rule.interval if isinstance(rule, Pbt) else None,
        takers=max(1, math.floor(rule.quantile * trials)) if isinstance(rule, Pbt) else 0,
        notes=list(_notes(spec, drawn)),
    )


def _words_of(spec: SweepSpec, assignment: Assignment) -> dict[str, Any]:
    words = in_words(spec.parameters, assignment)
    return words if spec.seeds == 1 else {name: value for name, value in words.items() if name != SEED}


def _notes(spec: SweepSpec, drawn: list[Drawn]) -> list[str]:
    """What to beware of, and what the plan cannot know, in sentences."""
    notes = warnings_of(spec)
    if spec.search.warm_start is not None:
        notes.append("search.warm_start: what the earlier sweeps found decides each draw; the trials here are drawn without them")
    if isinstance(spec.early_terminate, Wilcoxon):
        notes.append("early_terminate: which configurations get no further seeds depends on their scores; all count in full")
    elif spec.seeds > 1 and not isinstance(spec.early_terminate, NoStopping | None):
        notes.append("seeds: where a trial is stopped, its configuration's others are not begun; they are counted in full")
    if isinstance(spec.early_terminate, Pbt):
        notes.append("early_terminate: at a barrier workers may idle until the last trial has come to it; that is not counted")
    if isinstance(spec.early_terminate, Patient):
        notes.append("early_terminate: whom patience stops depends on the curves; no trial is counted as stopped")
    if spec.collapse is not None and spec.collapse.action == "stop":
        notes.append("collapse.action: stop ends collapsed trials early; none is counted as collapsed")
    if any(one.config is not None and one.config.training.patience is not None for one in drawn):
        notes.append("training.patience may end a trial before its last epoch; none is counted so")
    if any(one.config is not None and one.config.objective.gradient_variance is not None for one in drawn):
        notes.append("objective.gradient_variance: its steps after each epoch are not counted")
    if spec.budget.target is not None:
        notes.append("budget.target: whether and when it is reached is not knowable before; the sweep may end much earlier")
    return notes


def _rows(parameters: Mapping[str, AnyParameter], prefix: str) -> Iterator[Parameter]:
    for name, parameter in parameters.items():
        yield Parameter(f"{prefix}{name}", *_words(parameter))
        if isinstance(parameter, Choices):
            for option, inner in parameter.choices.items():
                yield from _rows(inner, f"{prefix}  {option}.")


def _words(parameter: AnyParameter) -> tuple[str, int | None]:
    match parameter:
        case Choices():
            return "one of " + ", ".join(parameter.choices), len(parameter.choices)
        case Variants():
            return "one of " + ", ".join(parameter.variants), len(parameter.variants)
        case Range():
            low, high = parameter.ends
            scale = ", log scale" if parameter.log else ""
            step = f", in steps of {parameter.q}" if parameter.q is not None else ", whole" if parameter.integer else ""
            return f"{low} to {high}{step}{scale}", parameter.count
        case _:
            return ", ".join(_shown(value) for value in parameter.values), len(parameter.values)


def _shown(value: Any) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool | list) else str(value)


def _ends(values: Sequence[int]) -> tuple[int, int]:
    return min(values, default=0), max(values, default=0)
