"""What a sweep file must fulfil beyond its form: that its sections go together, and that its trials can be made."""

from __future__ import annotations

from typing import Any

from orchestration.spec import data_files
from orchestration.spec.config_tree import dotted_names
from orchestration.spec.faults import Fault, Path, listed, nearest_name
from orchestration.spec.parameters import AnyParameter, Range
from orchestration.spec.search_space import SearchSpace
from orchestration.spec.sections import Asha, MetricSpec, SweepSpec
from orchestration.spec.trial_checks import Trials, located, overlaps, path_in_file, trials_of
from orchestration.spec.validation import MISFIT, Problem, validate
from orchestration.spec.yaml_source import Source
from vae_core.config import TrialConfig
from vae_core.configurable import Config
from vae_core.metrics import VALIDATION


class _OneParameter(Config):
    parameter: AnyParameter


def check(source: Source) -> tuple[SweepSpec | None, list[Fault]]:
    """The sweep, or None, and every fault."""
    parameters, dropped = _sound_parameters(source)
    faults = []
    for name, path, message in overlaps(parameters, source):
        faults.append(source.fault(path, message, key=True))
        dropped.add(name)
    sound = {name: parameter for name, parameter in parameters.items() if name not in dropped}
    spec, problems = validate(SweepSpec, _with_run_cap(source.tree, sound))
    faults = [_fault(source, problem) for problem in problems] + faults
    if source.tree.get("method") == "grid":
        faults += _continuous(source, sound)
    if isinstance(source.tree.get("trial"), dict):
        trials = trials_of(source, sound, dropped)
        faults += trials.faults
        faults += _metric_faults(source, trials) + _stopping_faults(source, trials)
    return (None if faults else spec), sorted(faults, key=_reading_order)


def _reading_order(fault: Fault) -> tuple[bool, int, int]:
    return fault.line is None, fault.line or 0, fault.column or 0


def check_data(source: Source, spec: SweepSpec) -> list[Fault]:
    """Every data file that is missing, empty, unreadable or binary; each once."""
    faults: dict[Path, Fault] = {}
    for config, origins in trials_of(source, spec.parameters, set()).made:
        for name in config.data.files:
            path = path_in_file(source.tree["trial"], origins, Problem(("data", name), ""))
            if path not in faults and (message := data_files.fault_of(config.data, name)):
                faults[path] = source.fault(path, message)
    return list(faults.values())


def _sound_parameters(source: Source) -> tuple[dict[str, AnyParameter], set[str]]:
    """The parameters that have a form, and the names of those that have none."""
    plain = source.tree.get("parameters")
    sound: dict[str, AnyParameter] = {}
    dropped: set[str] = set()
    for name, parameter in list(plain.items())[:100] if isinstance(plain, dict) else ():
        parsed, _ = validate(_OneParameter, {"parameter": parameter})
        if parsed is None:
            dropped.add(name)
        else:
            sound[name] = parsed.parameter
    return sound, dropped


def _with_run_cap(tree: dict[str, Any], parameters: dict[str, AnyParameter]) -> dict[str, Any]:
    """A grid's own size where the file names no cap."""
    if tree.get("method") != "grid" or "run_cap" in tree:
        return tree
    return {**tree, "run_cap": SearchSpace(parameters).size() or 1}


def _fault(source: Source, problem: Problem) -> Fault:
    """A fault of the file's form."""
    path, nearest = problem.path, problem.nearest
    if problem.kind == "extra_forbidden" and len(path) == 1:  # perhaps a part of the trial
        name = str(path[0])
        matching = (full for full in dotted_names(TrialConfig) if full == name or full.endswith(f".{name}"))
        inside = min(matching, key=lambda full: full.count("."), default=None)  # the least nested is likeliest meant
        nearest = f"trial.{inside}" if inside and (nearest is None or inside == name) else nearest
    if problem.kind == MISFIT:  # the sentence names the key that it is about
        node = source.at(path)
        key = next((word for word in problem.message.split() if isinstance(node, dict) and word in node), None)
        path = path if key is None else (*path, key)
    if path == ("run_cap",) and problem.kind == "missing":
        return source.fault(path, "missing, and required: how many trials at most (only a grid ends by itself)")
    return source.fault(path, problem.message, nearest=nearest, key=problem.kind == "extra_forbidden")


def _continuous(source: Source, parameters: dict[str, AnyParameter]) -> list[Fault]:
    return [
        source.fault(leaf.path, "a grid needs values, or a step q: this range is continuous")
        for leaf in located(parameters)
        if isinstance(leaf.parameter, Range) and leaf.parameter.count is None
    ]


def _metric_faults(source: Source, trials: Trials) -> list[Fault]:
    plain = source.tree.get("metric", {})
    name = plain.get("name", MetricSpec().name) if isinstance(plain, dict) else None
    if not isinstance(name, str):
        return []
    modalities = {config.data.modality for config, _ in trials.made}
    known = {metric.name: metric for metric in VALIDATION}
    reported = [
        metric.name
        for metric in VALIDATION
        if metric.goal is not None and (metric.modality is None or not modalities or metric.modality in modalities)
    ]
    reason = {
        "test": "the test split may not be searched on: its score would no longer be one of unseen data",
        "train": "training figures are annealed and approximated: only validation is comparable between trials",
        "best": "known only when a trial has ended",
    }.get(name.partition("/")[0], "no trial reports it")
    if name not in reported:
        same = f"val/{name.rpartition('/')[2]}"
        nearest = same if same in reported else nearest_name(name, reported)
        if name in known:
            other = "text" if modalities == {"image"} else "images"
            reason = f"reported for {other} only" if known[name].goal is not None else "neither higher nor lower is better"
        return [source.fault(("metric", "name"), f"{reason}; one of: {listed(reported)}", nearest=nearest)]
    better = known[name].goal
    goal = plain.get("goal", MetricSpec().goal)
    if goal != better and goal in ("minimize", "maximize"):
        way = "lower" if better == "minimize" else "higher"
        return [source.fault(("metric", "goal"), f"must be {better}: {name} is the better the {way} it is")]
    return []


def _stopping_faults(source: Source, trials: Trials) -> list[Fault]:
    plain = source.tree.get("early_terminate")
    rule, _ = validate(Asha, plain) if isinstance(plain, dict) else (None, [])
    epochs = max((config.training.epochs for config, _ in trials.made), default=None)
    if rule is None or epochs is None or rule.min_epochs <= epochs:
        return []
    return [source.fault(("early_terminate", "min_epochs"), f"must be at most the {epochs} epochs that a trial has")]
