"""From the costs of a few trials to those of the sweep: time, devices, memory, disk."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestration.planning.cost import Cost
from orchestration.planning.draws import Drawn
from orchestration.planning.figures import EPOCH_S, Estimate, Span, Variant
from orchestration.planning.plan import Plan, concurrency, play_through, repeated, rungs_of
from orchestration.planning.profile import LEAST_S, Profile, profile
from orchestration.planning.simulate import Course, Played
from orchestration.planning.structure import Structure
from orchestration.spec import SweepSpec
from orchestration.spec.annealing import first_candidate

if TYPE_CHECKING:
    from vae_core.config import TrialConfig

RAY_START_S = 4.5
"""Until a Ray of its own is up; the data are loaded meanwhile."""
_STATES = 3
"""Of a running trial on the disk: the last, the one before it, and the one being written."""
_MIB = 2**20


def estimate(
    plan: Plan,
    spec: SweepSpec,
    drawn: Sequence[Drawn],
    groups: Mapping[Structure, list[Drawn]],
    labels: Mapping[Structure, str],
    seconds: float,
    tell: Callable[[str], None],
) -> None:
    """Measures, and fills in what the plan has to say of steps and costs.

    Args:
        drawn: trials that stand for the sweep's, each with a config.
        groups: the same by their structure.
        labels: a structure's in words.

    Raises:
        LaunchError: the data cannot be read, or the machine has not what a trial takes.
    """
    slots = min(plan.at_once, os.cpu_count() or 1)
    chosen = _chosen(groups, max(1, int(seconds * slots / LEAST_S)))
    shared = not any(name.startswith("data.") for one in drawn for name in one.assignment)
    configs = [_config(groups[structure][0]) for structure in chosen]
    again = _filling(configs, slots) if len(configs) < slots else configs
    found = profile(again, shared=shared, gpu=spec.resources.gpu, seconds=seconds, slots=slots, tell=tell)
    costs: dict[Structure, Cost] = {}
    faults: dict[Structure, str] = {}
    for place, structure in enumerate(chosen):
        same = [found.costs[other] for other in range(place, len(again), len(chosen)) if other in found.costs]
        if same:
            costs[structure] = same[0] if len(same) == 1 else _mean(same)
        else:
            faults[structure] = found.faults.get(place, "")
    if spec.resources.gpu > 0:
        plan.at_once, plan.limited_by = concurrency(spec.resources, plan.trials, gpus=found.gpus)
    _fill_steps(plan, spec, groups, costs)
    if costs:
        variants = [
            Variant(labels[structure], len(own), _config(own[0]).training.epochs, costs.get(structure), faults.get(structure, ""))
            for structure, own in groups.items()
        ]
        plan.estimate = _estimate(plan, spec, drawn, groups, costs, variants, found)
    for structure, fault in faults.items():
        plan.notes.append(f"{labels[structure]}: not measured: {fault}")


def _chosen(groups: Mapping[Structure, list[Drawn]], at_most: int) -> list[Structure]:
    """The structures to measure: all, or where they are many the one with the most trials and others at random."""
    every = sorted(groups, key=lambda structure: -len(groups[structure]))
    if len(every) <= at_most:
        return every
    return [every[0], *random.Random(0).sample(every[1:], at_most - 1)]


def _filling(configs: list[TrialConfig], slots: int) -> list[TrialConfig]:
    """The same ones again, until as many run at once as will in the sweep: alone a trial is faster."""
    return [configs[place % len(configs)] for place in range(slots)]


def _mean(costs: list[Cost]) -> Cost:
    """Of the same trial measured several times."""
    times = {name: sum(getattr(cost, name) for cost in costs) / len(costs) for name in _TIMES}
    return replace(costs[0], **times, peak_bytes=max(cost.peak_bytes for cost in costs))


_TIMES = ("worker_s", "start_s", "step_s", "validation_s", "checkpoint_s", "final_s", "importance_s")


def _fill_steps(plan: Plan, spec: SweepSpec, groups: Mapping[Structure, list[Drawn]], costs: Mapping[Structure, Cost]) -> None:
    """What the data's size decides: steps, the end of annealing, rungs."""
    known = [(_config(one), costs[structure]) for structure, own in groups.items() if structure in costs for one in own]
    if not known:
        return
    steps = [cost.steps_per_epoch for _, cost in known]
    plan.steps_per_epoch = min(steps), max(steps)
    whole = [cost.steps_per_epoch * config.training.epochs for config, cost in known]
    plan.steps = min(whole), max(whole)
    candidates = [first_candidate(config, cost.steps_per_epoch) for config, cost in known]
    plan.annealed_after = min(candidates), max(candidates)


def _estimate(
    plan: Plan,
    spec: SweepSpec,
    drawn: Sequence[Drawn],
    groups: Mapping[Structure, list[Drawn]],
    costs: Mapping[Structure, Cost],
    variants: list[Variant],
    found: Profile,
) -> Estimate:
    structure_of = {one.number: structure for structure, own in groups.items() for one in own}
    crowding = max(1.0, plan.at_once / (os.cpu_count() or 1))  # more threads than cores
    measured = sorted(costs.values(), key=lambda cost: cost.epoch_s)
    typical = _mean(measured)

    def courses(unknown: Cost | None, unmeasured: Cost) -> list[Course]:
        """The sweep's; ``unknown`` in place of every trial that results will decide, where it is given."""
        made = []
        for one in drawn:
            own = costs.get(structure_of[one.number], unmeasured)
            made.append(_course(_config(one), own if one.known or unknown is None else unknown, crowding))
        return repeated(made, plan.trials)

    expected = courses(None, typical)
    played = play_through(spec, expected, plan.at_once)
    plan.rungs = rungs_of(spec, played, expected)
    plan.stopped = _average([float(sum(one.stopped_at.values())) for one in played])
    lower, upper = courses(measured[0], measured[0]), courses(measured[-1], measured[-1])
    cheap, dear = play_through(spec, lower, plan.at_once), play_through(spec, upper, plan.at_once)

    def unstopped(each: list[Course]) -> list[Played]:
        return play_through(spec, each, plan.at_once, stopping=False)

    whole = unstopped(lower), unstopped(expected), unstopped(upper)
    start_s = max(RAY_START_S, found.loading_s or 0.0) + found.imports_s + max(cost.worker_s for cost in measured)
    per_hour = (spec.resources.gpu or spec.resources.cpu) / 3600
    trial_s = _span(cheap, played, dear, lambda one: one.trial_s)
    whole_s = _span(*whole, lambda one: one.trial_s)
    finished = _average([float(one.finished) for one in played])
    artifacts = _average([float(costs.get(structure_of[one.number], typical).artifact_bytes) for one in drawn])
    checkpoint = max(cost.checkpoint_bytes for cost in measured)
    peaks = [cost.peak_bytes for cost in measured]
    free = _free_memory()
    return Estimate(
        data=found.data,
        loading_s=found.loading_s,
        variants=variants,
        start_s=start_s,
        wall_s=_span(cheap, played, dear, lambda one: one.wall_s).map(lambda wall_s: start_s + wall_s),
        whole_wall_s=_span(*whole, lambda one: one.wall_s).map(lambda wall_s: start_s + wall_s),
        trial_s=trial_s,
        device="GPU" if spec.resources.gpu else "core",
        device_hours=trial_s.map(lambda each: each * per_hour),
        whole_device_hours=whole_s.map(lambda each: each * per_hour),
        started=_average([float(one.started) for one in played]),
        ended_by=_commonest([one.ended_by for one in played]),
        finished=finished,
        peak_bytes=(min(peaks), max(peaks)),
        gpu_peak_bytes=max(cost.gpu_peak_bytes for cost in measured),
        memory_bytes=free,
        fit=_fit(spec, found, max(peaks), free, max(cost.gpu_peak_bytes for cost in measured)),
        disk_peak_bytes=finished * artifacts + plan.at_once * _STATES * checkpoint,
        disk_kept_bytes=finished * artifacts,
        measured_s=found.seconds,
        notes=list(_notes(plan, spec, groups, costs, crowding)),
    )


def _notes(
    plan: Plan, spec: SweepSpec, groups: Mapping[Structure, list[Drawn]], costs: Mapping[Structure, Cost], crowding: float
) -> list[str]:
    notes = []
    if len(costs) < len(groups):
        notes.append(f"{len(costs)} of {len(groups)} variants were measured; the others are taken for their mean")
    if plan.known < plan.trials:
        rest = plan.trials - plan.known
        notes.append(f"{rest} trials depend on results: the range is from all of them of the cheapest variant to the dearest")
    if crowding > 1.0:
        notes.append(f"more trials at once than cores: each is taken to be {crowding:.3g} times slower")
    if spec.resources.gpu == 0 and (share := min(cost.core_share for cost in costs.values())) < 0.8:
        notes.append(f"times are of a core of its own a trial; this machine is busy: now one has {100 * share:.0f} % of a core")
    if any(_config(own[0]).training.procedure.kind == "aggressive" for own in groups.values()):
        notes.append("aggressive training: measured at its beginning, where its encoder is updated most; a bound from above")
    return notes


def _course(config: TrialConfig, cost: Cost, crowding: float) -> Course:
    return Course(
        epochs=config.training.epochs,
        candidate=first_candidate(config, cost.steps_per_epoch),
        start_s=crowding * cost.start_s,
        epoch_s=crowding * cost.epoch_s + EPOCH_S,
        final_s=crowding * cost.final_s,
    )


def _span(cheap: list[Played], played: list[Played], dear: list[Played], of: Callable[[Played], float]) -> Span:
    """From the tenth part of the cheapest to the tenth of the dearest."""
    low, high = sorted(map(of, cheap)), sorted(map(of, dear))
    mean = _average(list(map(of, played)))
    # Costs are measured: of two variants the one with fewer steps can have been the slower.
    return Span(min(low[len(low) // 10], mean), mean, max(high[-1 - len(high) // 10], mean))


def _commonest(ends: Sequence[str]) -> str:
    """The end of most plays, of those that the budget ended."""
    return max(sorted({end for end in ends if end}), key=ends.count, default="")


def _fit(spec: SweepSpec, found: Profile, peak: int, free: int, gpu_peak: int) -> dict[str, int]:
    fit = {"cores": math.floor((os.cpu_count() or 1) / spec.resources.cpu + 1e-9)}
    if peak and free:
        shared = found.data["bytes"] if found.data else 0
        fit["memory"] = max(0, (free - shared) // peak)
    if gpu_peak:
        fit["GPU memory"] = found.gpus * (found.gpu_bytes // gpu_peak)
    return fit


def _free_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().available)


def _average(values: Sequence[float]) -> float:
    return math.fsum(values) / max(len(values), 1)


def _config(one: Drawn) -> TrialConfig:
    assert one.config is not None, "only trials that can be made are grouped"
    return one.config
