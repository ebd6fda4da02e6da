"""Whether what a sweep searches on is reported, and may be searched on; and what its outcome constraints speak of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestration.spec.conditions import Condition, ConditionFault
from orchestration.spec.faults import Fault, Path, listed, nearest_name
from orchestration.spec.sections import MetricSpec
from orchestration.spec.trial_checks import Trials
from orchestration.spec.yaml_source import Source
from vae_core.metrics import TRAINING, VALIDATION, Metric

SPEEDS = tuple(metric for metric in TRAINING if metric.name.endswith("_per_s"))
"""Measured, and so never the same twice: for several metrics only, where speed is what is bought."""
_TRADED = "val/rate"
"""Neither way is better by itself; against the distortion one may choose either."""


def with_metric(tree: dict[str, Any]) -> dict[str, Any]:
    """Where the file says several metrics, ``metric`` is the first of them."""
    several = tree.get("metrics")
    return {**tree, "metric": several[0]} if isinstance(several, list) and several and "metric" not in tree else tree


def metric_faults(source: Source, trials: Trials) -> list[Fault]:
    """Faults of ``metric`` or ``metrics``, and of the names in ``outcome_constraints``."""
    tree = source.tree
    several = tree.get("metrics")
    if not isinstance(several, list) or not several:
        return [*_of_one(source, trials, ("metric",), tree.get("metric", {}), together=False), *_outcome_faults(source, trials)]
    faults: list[Fault] = []
    if len(several) == 1:
        faults.append(source.fault(("metrics",), "must hold at least 2: for a single one there is metric"))
    if "metric" in tree and tree["metric"] != several[0]:
        faults.append(source.fault(("metric",), "take it out: metrics says all that are searched on", key=True))
    rule = tree.get("early_terminate")
    if isinstance(rule, dict) and rule.get("type", "none") != "none":
        message = "with several metrics no trial can be stopped early: which of two is worse is not decided"
        faults.append(source.fault(("early_terminate", "type"), message))
    if tree.get("method") == "cmaes":
        faults.append(source.fault(("method",), "cmaes searches on one metric; for several there are tpe, gp, nsga2 and nsga3"))
    names = [plain.get("name", MetricSpec().name) if isinstance(plain, dict) else None for plain in several]
    for place, plain in enumerate(several):
        if names[place] in names[:place]:
            faults.append(source.fault(("metrics", place, "name"), "is there twice"))
        else:
            faults += _of_one(source, trials, ("metrics", place), plain, together=True)
    return faults + list(_outcome_faults(source, trials))


def _of_one(source: Source, trials: Trials, path: Path, plain: Any, *, together: bool) -> list[Fault]:
    name = plain.get("name", MetricSpec().name) if isinstance(plain, dict) else None
    if not isinstance(name, str):
        return []
    known = {metric.name: metric for metric in VALIDATION + (SPEEDS if together else ())}
    reported = [
        metric.name
        for metric in known.values()
        if (metric.goal is not None or (together and metric.name == _TRADED)) and _has(metric, trials)
    ]
    if name not in reported:
        same = f"val/{name.rpartition('/')[2]}"
        nearest = same if same in reported else nearest_name(name, reported)
        return [source.fault((*path, "name"), f"{_reason(name, known)}; one of: {listed(reported)}", nearest=nearest)]
    better = known[name].goal
    goal = plain.get("goal", MetricSpec().goal)
    if better is not None and goal != better and goal in ("minimize", "maximize"):
        way = "lower" if better == "minimize" else "higher"
        return [source.fault((*path, "goal"), f"must be {better}: {name} is the better the {way} it is")]
    return []


def _reason(name: str, known: dict[str, Metric]) -> str:
    if name in known and known[name].goal is None:
        return "neither higher nor lower is better"
    if name in known:
        return f"reported for {'images' if known[name].modality == 'image' else 'text'} only"
    return {
        "test": "the test split may not be searched on: its score would no longer be one of unseen data",
        "train": "training figures are annealed and approximated: only validation is comparable between trials",
        "best": "known only when a trial has ended",
    }.get(name.partition("/")[0], "no trial reports it")


def _has(metric: Metric, trials: Trials) -> bool:
    modalities = {config.data.modality for config, _ in trials.made}
    return metric.modality is None or not modalities or metric.modality in modalities


def _outcome_faults(source: Source, trials: Trials) -> Iterator[Fault]:
    plain = source.tree.get("outcome_constraints")
    if not isinstance(plain, list) or not plain:
        return
    if source.tree.get("method") == "cmaes":
        message = "cmaes cannot be told of them; tpe, gp, nsga2 and nsga3 can"
        yield source.fault(("outcome_constraints",), message, key=True)
    known = {metric.name: metric for metric in VALIDATION}
    reported = [name for name, metric in known.items() if _has(metric, trials)]
    for place, text in enumerate(plain):
        for name in _names(text):
            if name not in reported:
                message = f"{name}: {_reason(name, known)}; there are: {listed(reported)}"
                yield source.fault(("outcome_constraints", place), message, nearest=nearest_name(name, reported))


def _names(text: Any) -> list[str]:
    """The names in a condition; none where it is none, which is told elsewhere."""
    try:
        return list(Condition(text).names) if isinstance(text, str) else []
    except ConditionFault:
        return []
