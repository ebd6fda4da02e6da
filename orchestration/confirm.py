"""Trains the best configurations of a search anew under fresh seeds: a sweep of its own, run and resumed like any other."""

from __future__ import annotations

import contextlib
import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from orchestration.errors import LaunchError
from orchestration.spec import SweepSpec, make_trial_config, parse_sweep, spec_text
from orchestration.spec.confirmation import SEED, confirmation_parameters, confirmed
from orchestration.spec.early_terminate import Pbt
from orchestration.spec.sections import NAME

if TYPE_CHECKING:
    import pandas as pd

    from dashboards.home import Home
    from orchestration.spec import Assignment

_KEPT = ("version", "trial", "resources", "tracking", "notify")
"""Sections that a confirmation shares with its search; the others say how to search."""


class AlreadyConfirmed(LaunchError):
    """The confirmation is finished."""


@dataclass(frozen=True)
class Confirmation:
    """A confirmation that can be run."""

    spec: SweepSpec
    trials: list[int]
    """Of the search, best first."""
    seeds: list[int]
    remarks: list[str]
    """What was decided on the way that the user should know."""


def make_confirmation(search: str, where: Home, *, top: int | None, seeds: int | None, name: str) -> Confirmation:
    """The sweep that confirms ``search``: its best configurations, each under the same fresh seeds, at full budget.

    Two trials that differ in nothing but their seed are one configuration, ranked by its mean.

    Args:
        where: the home, with the tracking URI of the search's record.
        top: configurations; None: the search's own ``confirm.top``.
        seeds: likewise.
        name: of the new sweep.

    Raises:
        LaunchError: there is no such search, it is running, it confirms another, no trial of it is complete, complete
            trials are missing from its record, or ``name`` can name no sweep.
    """
    from dashboards.analysis import ranked
    from dashboards.records import load_trials, sweep_row
    from dashboards.replicates import grouped
    from dashboards.summary import state_counts
    from orchestration.driver_lock import holder
    from orchestration.stored import assignments_of
    from orchestration.stored_sweeps import stored_sweep
    from orchestration.whole_record import require_whole_record, send_record

    if not re.fullmatch(NAME, name):
        raise LaunchError(f"{name!r} can name no sweep (letters, digits, '.', '_', '-'; 64 at most): choose another with --name")
    spec, _ = stored_sweep(search, where)
    if spec.confirms is not None:  # its seeds would be fresh to it, but not to the search behind it
        raise LaunchError(f"{search!r} confirms {spec.confirms!r} already; for more seeds confirm that, under another --name")
    if isinstance(spec.early_terminate, Pbt):
        raise LaunchError(
            f"{search!r} is a population: its best trial has a schedule, not a configuration that fresh seeds could be given to;"
            " run it again under another search.seed, or `vae-sweeps reproduce` a trial"
        )
    if (driver := holder(search, where)) is not None:
        raise LaunchError(f"the sweep {search!r} is being run by {driver}: let it end, or stop it, before its best are confirmed")
    send_record(search, where)
    trials = load_trials(search, tracking_uri=where.tracking_uri)
    require_whole_record(spec, trials, where)
    row = sweep_row(search, tracking_uri=where.tracking_uri)
    table = ranked(grouped(trials, row), row)
    table = table[table["rank"].notna()]
    if table.empty:
        raise LaunchError(f"nothing of {search!r} can be confirmed: no complete trial is ranked ({state_counts(trials)})")
    assignments = assignments_of(spec, where.study_url(spec.name), table["trial"].tolist())
    chosen, remarks = _best(_candidates(spec, table, assignments), spec.confirm.top if top is None else top)
    fresh = _fresh_seeds(spec, trials, assignments[chosen[0]], spec.confirm.seeds if seeds is None else seeds)
    made = _sweep(spec, name, {number: _without_seed(assignments[number]) for number in chosen}, fresh)
    for number in chosen:  # whatever form the search's parameters had, what is trained anew is what was trained
        again = {SEED: fresh[0], **_without_seed(assignments[number])}
        assert make_trial_config(made, again) == make_trial_config(spec, {**assignments[number], SEED: fresh[0]})
    return Confirmation(made, chosen, fresh, remarks)


def unfinished_plan(name: str, search: str, where: Home, top: int | None, seeds: int | None) -> tuple[list[int], list[int]]:
    """The trials and seeds of a confirmation that is there already, and can be gone on with.

    Raises:
        AlreadyConfirmed: it is finished.
        LaunchError: it is none, or one of another search; flags ask for another number of trials or seeds.
    """
    from dashboards.errors import NotFound
    from dashboards.records import sweep_row
    from orchestration.stored_sweeps import stored_sweep

    spec, _ = stored_sweep(name, where)
    plan = confirmed(spec.parameters) if spec.confirms == search else None
    if plan is None:
        raise LaunchError(f"the name {name!r} is used by a sweep that does not confirm {search!r}: choose another with --name")
    for flag, asked, has in (("--top", top, len(plan[0])), ("--seeds", seeds, len(plan[1]))):
        if asked is not None and asked != has:
            raise LaunchError(
                f"{name!r} is there already, with --top {len(plan[0])} --seeds {len(plan[1])}, which {flag} {asked} does not fit:"
                " leave out the flags to go on with it, or confirm under another name with --name"
            )
    with contextlib.suppress(NotFound):  # killed before its first record
        if sweep_row(name, tracking_uri=where.tracking_uri)["state"] == "FINISHED":
            raise AlreadyConfirmed(
                f"{name!r} is there already, and finished: {where.command(f'report {name}')} shows it;"
                " to confirm once more, choose another name with --name"
            )
    return plan


class _Candidate(NamedTuple):
    """A configuration that could be confirmed; candidates sort best first."""

    front: int
    """With several metrics the best rank of its trials, 1 being the Pareto set; else 0."""
    score: float
    """In the first metric, the mean over its trials; lower is better."""
    number: int
    """Of its best trial, which stands for it."""
    trials: int


def _candidates(spec: SweepSpec, table: pd.DataFrame, assignments: dict[int, Assignment]) -> list[_Candidate]:
    """Each configuration, best first; ``table`` are the ranked trials."""
    first = spec.objectives[0]
    groups: dict[str, list[tuple[int, float, int]]] = {}
    for number, rank, value in zip(table["trial"], table["rank"], table[first.column], strict=True):
        key = json.dumps(_without_seed(assignments[int(number)]), sort_keys=True)
        front = int(rank) if len(spec.objectives) > 1 else 0
        groups.setdefault(key, []).append((front, first.sign * float(value), int(number)))
    found = []
    for runs in groups.values():
        front, _, number = min(runs)
        found.append(_Candidate(front, math.fsum(value for _, value, _ in runs) / len(runs), number, len(runs)))
    return sorted(found)


def _best(candidates: list[_Candidate], wanted: int) -> tuple[list[int], list[str]]:
    """The trials that stand for the best configurations, and what is to be said of the choice."""
    chosen, remarks = candidates[:wanted], []
    if len(candidates) < wanted:
        remarks.append(f"of the {wanted} configurations asked for, {len(candidates)} were completed: these are confirmed")
    last = chosen[-1]
    if equal := [other.number for other in candidates[wanted:] if other[:2] == last[:2]]:
        listed = ", ".join(map(str, equal))
        remarks.append(f"trial {last.number} is equal to {listed}, left out: of equals the lower number is taken; see --top")
    if repeated := [one.number for one in chosen if one.trials > 1]:
        remarks.append(f"ranked by the mean over their trials, which differ in the seed only: {', '.join(map(str, repeated))}")
    if last.front > 0:
        remarks.append("of several metrics: chosen from the Pareto set inwards, in its order by the first metric")
    return [one.number for one in chosen], remarks


def _fresh_seeds(spec: SweepSpec, trials: pd.DataFrame, assignment: Assignment, count: int) -> list[int]:
    """The lowest seeds that no trial of the search had."""
    first = make_trial_config(spec, assignment).seed
    used = {int(seed) for seed in trials["seed"].dropna()} | set(range(first, first + spec.seeds))
    fresh = (seed for seed in range(count + len(used)) if seed not in used)
    return [next(fresh) for _ in range(count)]


def _sweep(spec: SweepSpec, name: str, trials: dict[int, Assignment], seeds: list[int]) -> SweepSpec:
    plain = {key: value for key, value in spec.to_dict().items() if key in _KEPT}
    plain["trial"].pop(SEED, None)
    if spec.collapse is not None:  # told, and not stopped: a collapsed seed has its score like every other
        plain["collapse"] = {**spec.collapse.to_dict(), "action": "report"}
    plain |= {
        "name": name,
        "question": f"Do the best of {spec.name} hold under fresh seeds? {spec.question}".strip(),
        "method": "grid",
        "metric": next((one for one in spec.objectives if one.name.startswith("val/")), spec.metric).to_dict(),
        "parameters": confirmation_parameters(trials, seeds),
        "run_cap": len(trials) * len(seeds),
        "budget": {"trial_timeout": spec.budget.trial_timeout},  # a hung worker is no budget of the search
        "confirms": spec.name,
    }
    return parse_sweep(spec_text(SweepSpec.from_dict(plain)), origin=name)


def _without_seed(assignment: Assignment) -> Assignment:
    return {place: value for place, value in assignment.items() if place != SEED}
