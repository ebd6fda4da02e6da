"""What a sweep's leaderboard says, and why the comparison is fair or is not: sentences, each computed from the frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from dashboards.analysis import STATES, goal_of, ranked, searched, selected_metric, short_names

_MUST_BE_EQUAL = {
    "data.fingerprint": "the same data",
    "seed": "the same seed",
    "training.epochs": "the same planned number of epochs",
    "git.commit": "the same code",
    "torch": "the same torch",
    "threads": "the same number of threads",
}
"""What complete trials have to share for their scores to be comparable (the last: for their times), and its name in words."""


def summary(trials: pd.DataFrame, sweep: pd.Series[Any]) -> list[str]:
    """Sentences: which configuration won and by how much, how sure that is, what is comparable, what the numbers are."""
    complete = trials[trials["state"] == "COMPLETE"]
    sentences = [_progress(trials, sweep)]
    if complete.empty:
        return [*sentences, "No trial is complete: there is nothing to rank."]
    sentences += _winner(trials, sweep)
    sentences += _fairness(complete)
    sentences += _estimators(complete)
    return sentences


def state_counts(trials: pd.DataFrame) -> str:
    """``12 trials: 8 complete, 3 pruned, 1 failed``."""
    counts = trials["state"].value_counts()
    order = [*STATES, *sorted(set(counts.index) - set(STATES))]
    told = ", ".join(f"{counts[state]} {state.lower()}" for state in order if state in counts)
    return f"{_count(len(trials), 'trial')}{': ' if told else ''}{told}"


def number(value: float) -> str:
    """A difference or score for a sentence: four significant digits."""
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def configuration(row: pd.Series[Any], parameters: Sequence[str]) -> str:
    """``beta 0.5, softmax sampled``: the searched parameters of one trial that are active."""
    short = short_names(parameters)
    return ", ".join(f"{short[name]} {plain(row[name])}" for name in parameters if pd.notna(row[name])) or "no parameter set"


def plain(value: Any) -> str:
    """A parameter's value for people: a float to three significant digits, anything else as it is."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _progress(trials: pd.DataFrame, sweep: pd.Series[Any]) -> str:
    """How many trials are in each state, and what that means for the ranking."""
    parts = [f"{state_counts(trials)}."]
    apart = [state for state in ("PRUNED", "COLLAPSED", "STOPPED", "FAILED") if (trials["state"] == state).any()]
    if apart:
        parts.append(f"Only complete trials are ranked; {_listed(state.lower() for state in apart)} ones are listed apart.")
    failed = trials[(trials["state"] == "FAILED") & (trials["reason"] != "")]
    for reason, among in failed.groupby("reason"):
        parts.append(f"{_begin(_trials(among['trial']))} failed: {reason}.")
    if sweep["state"] == "RUNNING":
        parts.append("The sweep still runs: this is provisional.")
    elif sweep["state"] != "FINISHED":
        cap = f" of {sweep['run_cap']} planned" if pd.notna(sweep["run_cap"]) else ""
        parts.append(f"The sweep was not finished ({str(sweep['state']).lower()}, {len(trials)}{cap} trials).")
    return " ".join(parts)


def _winner(trials: pd.DataFrame, sweep: pd.Series[Any]) -> list[str]:
    column, parameters = selected_metric(sweep["metric"]), searched(sweep)
    table = ranked(trials, sweep)
    table = table[table["rank"].notna()]
    if table.empty:
        return [f"No complete trial has {column}: there is nothing to rank."]
    first = table.iloc[0]
    at = f" at epoch {first['best/epoch']:.0f}" if pd.notna(first.get("best/epoch")) else ""
    score = f"{column} {number(first[column])}{at}"
    if len(table) == 1:
        return [f"Trial {first['trial']} ({configuration(first, parameters)}) is the only one ranked: {score}."]
    second = table.iloc[1]
    lead = abs(float(first[column]) - float(second[column]))
    if lead == 0:
        equal = table.loc[table["rank"] == 1, "trial"]
        return [f"{_begin(_trials(equal))} are equal: {score}; trial {first['trial']} is {configuration(first, parameters)}."]
    runner_up = f"trial {second['trial']} ({configuration(second, parameters)})"
    better = "lower" if sweep["goal"] == "minimize" else "higher"
    return [
        f"Trial {first['trial']} won ({configuration(first, parameters)}): {score},"
        f" {number(lead)} {better} than the runner-up, {runner_up}.",
        _doubt(table, lead, parameters) + _test_order(table, sweep),
    ]


def _doubt(table: pd.DataFrame, lead: float, parameters: Sequence[str]) -> str:
    """What the lead is worth: without several seeds a configuration, no interval can be given."""
    configurations = table[[name for name in parameters if name != "seed"]].astype(object).where(lambda value: value.notna(), "")
    if configurations.duplicated().any():
        return "Some configurations were trained more than once, but trials are ranked one by one: no interval is given here."
    return f"One seed each, hence no interval: confirm before you believe a difference of {number(lead)}."


def _test_order(table: pd.DataFrame, sweep: pd.Series[Any]) -> str:
    """Whether the test set, which chose nothing, agrees about the first two."""
    column = "test/" + str(sweep["metric"]).rpartition("/")[2]
    if column not in table or table[column].iloc[:2].isna().any():
        return ""
    first, second = float(table[column].iloc[0]), float(table[column].iloc[1])
    gain = second - first if goal_of(column, sweep) == "minimize" else first - second
    verdict = "agrees" if gain > 0 else "does NOT agree" if gain < 0 else "tells no difference"
    return f" {column} {verdict}: {number(first)} against {number(second)}."


def _fairness(complete: pd.DataFrame) -> list[str]:
    """What all complete trials share, and a warning for each thing that they do not."""
    shared, warnings = [], []
    for column, words in _MUST_BE_EQUAL.items():
        if column not in complete or complete[column].isna().all():
            continue
        values = complete[column].astype(object).where(complete[column].notna(), "unknown")
        if values.nunique() == 1:
            shared.append(f"{words} ({plain(values.iloc[0])})")
        else:
            told = "; ".join(f"{plain(value)} in {_trials(among)}" for value, among in complete["trial"].groupby(values))
            warnings.append(f"NOT equal, so beware: complete trials do not share {words}: {told}.")
    count = len(complete)
    everyone = {1: "It has", 2: "Both complete trials have"}.get(count, f"All {count} complete trials have")
    sentences = [f"{everyone} {_listed(shared)}."] if shared else []
    early = complete[complete["epochs"] < complete["training.epochs"]] if "training.epochs" in complete else complete.iloc[:0]
    if not early.empty:
        sentences.append(
            f"{_begin(_trials(early['trial']))} stopped early, by the same rule for all, after {early['epochs'].min()}"
            f" to {early['epochs'].max()} epochs."
        )
    return sentences + warnings


def _estimators(complete: pd.DataFrame) -> list[str]:
    """By which estimator each kind of score was computed."""
    told = []
    if "best/val/neg_elbo" in complete:
        told.append(
            "best/val/neg_elbo is the negative ELBO on validation, at beta 1 and with the exact likelihood whatever was trained"
            " with, at the epoch where it was lowest from annealing's end on"
        )
    if "test/neg_elbo" in complete:
        told.append("test/neg_elbo is the negative ELBO of that epoch's weights on the test set")
    if "test/iw_nll" in complete and "evaluation.importance_samples" in complete:
        used = sorted(complete["evaluation.importance_samples"].dropna().unique())
        limits = complete["evaluation.importance_examples"]
        on = f"at most {_listed(plain(limit) for limit in sorted(limits.unique()))}" if limits.notna().all() else "all"
        told.append(
            f"test/iw_nll is the importance-weighted bound with K = {_listed(map(plain, used))} on {on} test examples,"
            " ± one standard error over examples"
        )
        if len(used) > 1:
            told.append("K differs, so test/iw_nll cannot be compared between trials")
    return [f"{'; '.join(told)}. In nats an example."] if told else []


def _trials(numbers: pd.Series[Any]) -> str:
    listed = [str(trial) for trial in sorted(numbers)]
    few = listed if len(listed) <= 8 else [*listed[:7], f"{len(listed) - 7} more"]
    return f"trial {few[0]}" if len(listed) == 1 else f"trials {_listed(few)}"


def _begin(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _listed(items: Iterable[str]) -> str:
    """``a, b and c``."""
    *most, last = list(items) or [""]
    return f"{', '.join(most)} and {last}" if most else last
