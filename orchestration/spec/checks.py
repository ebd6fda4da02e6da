"""What a sweep file must fulfil beyond its form: that its sections go together, and that its trials can be made."""

from __future__ import annotations

import re
from typing import Any

from orchestration.spec import data_files
from orchestration.spec.config_tree import dotted_names
from orchestration.spec.early_terminate import AnyStopping, Hyperband, Stopping
from orchestration.spec.faults import Fault, Path
from orchestration.spec.metric_checks import metric_faults, with_metric
from orchestration.spec.parameters import AnyParameter, Range
from orchestration.spec.population_checks import population_faults
from orchestration.spec.replication import replication_faults
from orchestration.spec.search_checks import search_faults
from orchestration.spec.search_space import SearchSpace
from orchestration.spec.sections import SweepSpec
from orchestration.spec.trial_checks import Trials, located, overlaps, path_in_file, trials_of
from orchestration.spec.validation import MISFIT, Problem, validate
from orchestration.spec.yaml_source import Source
from vae_core.config import TrialConfig
from vae_core.configurable import Config


class _OneParameter(Config):
    parameter: AnyParameter


class _OneRule(Config):
    rule: AnyStopping


def check(source: Source) -> tuple[SweepSpec | None, list[Fault]]:
    """The sweep, or None, and every fault."""
    parameters, dropped = _sound_parameters(source)
    faults = []
    for name, path, message in overlaps(parameters, source):
        faults.append(source.fault(path, message, key=True))
        dropped.add(name)
    sound = {name: parameter for name, parameter in parameters.items() if name not in dropped}
    tree = _with_run_cap(with_metric(source.tree), sound)
    spec, problems = validate(SweepSpec, tree)
    faults = [
        _fault(source, problem) for problem in problems if problem.path[:1] != ("metric",) or "metric" in source.tree
    ] + faults
    if source.tree.get("method") == "grid":
        faults += _continuous(source, sound)
    if isinstance(source.tree.get("trial"), dict):
        trials = trials_of(source, sound, dropped)
        faults += trials.faults
        faults += metric_faults(source, trials) + _stopping_faults(source, trials)
        if (searched := spec or _without_faulty(tree, problems, sound)) is not None:
            faults += [*search_faults(source, searched, trials), *replication_faults(source, searched)]
            faults += population_faults(source, searched, trials)
    return (None if faults else spec), sorted(faults, key=_reading_order)


def _reading_order(fault: Fault) -> tuple[bool, int, int]:
    return fault.line is None, fault.line or 0, fault.column or 0


def check_data(source: Source, spec: SweepSpec) -> list[Fault]:
    """Every data file that is missing, empty, unreadable or binary; each once."""
    faults: dict[Path, Fault] = {}
    for config, origins in trials_of(source, spec.parameters, set()).made:
        for place, file in data_files.named_files(config.data):
            path = path_in_file(source.tree["trial"], origins, Problem(place, ""))
            if path not in faults and (message := data_files.fault_of(config.data, file)):
                faults[path] = source.fault(path, message)
    return list(faults.values())


def data_files_of(spec: SweepSpec) -> list[str]:
    """Every data file that a trial of the sweep may read."""
    trials = trials_of(Source(spec.to_dict(), file="<sweep>"), spec.parameters, set())
    return sorted({file for config, _ in trials.made for _, file in data_files.named_files(config.data)})


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
    """A grid's own size, under every seed, where the file names no cap."""
    if tree.get("method") != "grid" or "run_cap" in tree:
        return tree
    seeds = tree.get("seeds", 1)
    times = seeds if isinstance(seeds, int) and 0 < seeds <= 100 else 1
    return {**tree, "run_cap": (SearchSpace(parameters).size() or 1) * times}


def _without_faulty(tree: dict[str, Any], problems: list[Problem], sound: dict[str, AnyParameter]) -> SweepSpec | None:
    """The sweep without its sections of faulty form, so that the others can be looked at all the same."""
    needed = {"version": 1, "name": "unnamed", "trial": {}, "run_cap": 1}
    faulty = {problem.path[0] for problem in problems if problem.path}
    kept = {key: value for key, value in tree.items() if key not in faulty}
    kept["parameters"] = {name: parameter.to_dict() for name, parameter in sound.items()}
    return validate(SweepSpec, {**needed, **kept})[0] if "method" in kept else None


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
        key = next((word for word in re.findall(r"\w+", problem.message) if isinstance(node, dict) and word in node), None)
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


def _stopping_faults(source: Source, trials: Trials) -> list[Fault]:
    """A rule that would begin after the last epoch."""
    plain = source.tree.get("early_terminate")
    parsed, _ = validate(_OneRule, {"rule": plain}) if isinstance(plain, dict) else (None, [])
    epochs = max((config.training.epochs for config, _ in trials.made), default=None)
    if parsed is None or not isinstance(parsed.rule, Stopping) or epochs is None:
        return []
    rule, path = parsed.rule, ("early_terminate",)
    if rule.first_epoch > epochs:
        bound = "at most" if getattr(rule, rule.waits) == rule.first_epoch else "below"
        return [source.fault((*path, rule.waits), f"must be {bound} the {epochs} epochs that a trial has")]
    if isinstance(rule, Hyperband) and rule.last_start > epochs:
        most = max(k for k in range(1, rule.brackets) if rule.min_epochs * rule.eta ** (k - 1) <= epochs)
        first = f"the first rung of the last one is epoch {rule.last_start}, and a trial has {epochs}"
        return [source.fault((*path, "brackets"), f"must be at most {most}: {first}")]
    return []
