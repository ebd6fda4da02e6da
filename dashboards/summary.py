"""What a sweep's leaderboard says, and why the comparison is fair or is not: sentences, each computed from the frame."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from dashboards.analysis import STATES, alike_in, goal_of, ranked, searched, selected_metric, short_names
from dashboards.pareto import can_win, outcome_constraints, several_metrics
from dashboards.schedules import Schedule, in_words, schedule_of
from dashboards.scored import estimators, incomparable
from dashboards.words import BEWARE, begin, count_of, listed, number, plain, trials_listed

_MUST_BE_EQUAL = {
    "data.fingerprint": "the same data",
    "seed": "the same seed",
    "training.epochs": "the same planned number of epochs",
    "training.patience": "the same patience",
    "git.commit": "the same code",
    "torch": "the same torch",
    "threads": "the same number of threads",
}
"""What complete trials have to share for their scores to be comparable (the last: for their times), and its name in words."""


def summary(trials: pd.DataFrame, sweep: pd.Series[Any]) -> list[str]:
    """Sentences: which configuration won and by how much, how sure that is, what is comparable, what the numbers are."""
    complete = trials[trials["state"] == "COMPLETE"]
    sentences = [_progress(trials, sweep), *_population(trials, sweep)]
    if complete.empty:
        return [*sentences, "No trial is complete: there is nothing to rank."]
    sentences += _winner(trials, sweep)
    return sentences + basis(complete, sweep, searched(sweep))


def basis(complete: pd.DataFrame, sweep: pd.Series[Any], parameters: Sequence[str]) -> list[str]:
    """What the comparison of complete trials rests on, or fails to."""
    return [*_fairness(complete, parameters), *incomparable(complete, sweep), *estimators(complete)]


def _population(trials: pd.DataFrame, sweep: pd.Series[Any]) -> list[str]:
    """How many trials of a population took over another's weights, and how the best came about."""
    if "schedule" not in trials or trials["schedule"].isna().all():
        return []
    schedules = {row["trial"]: schedule for _, row in trials.iterrows() if (schedule := _schedule(row["schedule"]))}
    changed = {number: schedule for number, schedule in schedules.items() if len(schedule) > 1}
    parts = [
        f"A population: {len(changed)} of {len(trials)} trials went on from another's weights, and so from its history;"
        " parameters are those that a trial ended with."
    ]
    table = ranked(trials, sweep)
    best = table["trial"].iloc[0] if len(table) and pd.notna(table["rank"].iloc[0]) else None
    if best in changed:
        lines = in_words(changed[best], short_names(searched(sweep)))
        parts.append(f"Trial {best} came about so: {'; '.join(lines)}.")
    return [" ".join(parts)]


def _schedule(text: Any) -> Schedule:
    """A trial's stints; none where MLflow has cut the tag."""
    try:
        return schedule_of(json.loads(text)) if isinstance(text, str) else ()
    except ValueError:
        return ()


def state_counts(trials: pd.DataFrame) -> str:
    """``12 trials: 8 complete, 3 pruned, 1 failed``."""
    counts = trials["state"].value_counts()
    order = [*STATES, *sorted(set(counts.index) - set(STATES))]
    told = ", ".join(f"{counts[state]} {state.lower()}" for state in order if state in counts)
    return f"{count_of(len(trials), 'trial')}{': ' if told else ''}{told}"


def configuration(row: pd.Series[Any], parameters: Sequence[str]) -> str:
    """``beta 0.5, softmax sampled``: the searched parameters of one trial that are active."""
    short = short_names(parameters)
    return ", ".join(f"{short[name]} {plain(row[name])}" for name in parameters if pd.notna(row[name])) or "no parameter set"


def _progress(trials: pd.DataFrame, sweep: pd.Series[Any]) -> str:
    """How many trials are in each state, and what that means for the ranking."""
    parts = [f"{state_counts(trials)}."]
    apart = [state for state in ("PRUNED", "COLLAPSED", "STOPPED", "FAILED") if (trials["state"] == state).any()]
    if apart:
        parts.append(f"Only complete trials are ranked; {listed(state.lower() for state in apart)} ones are listed apart.")
    return " ".join([*parts, *troubles(trials, sweep)])


def troubles(trials: pd.DataFrame, sweep: pd.Series[Any]) -> list[str]:
    """Why trials failed, and that the sweep is not finished, where that is so."""
    parts = []
    failed = trials[(trials["state"] == "FAILED") & (trials["reason"] != "")]
    for reason, among in failed.groupby("reason"):
        parts.append(f"{begin(trials_listed(among['trial']))} failed: {reason}.")
    if sweep["state"] == "RUNNING":
        parts.append("The sweep still runs: this is provisional.")
    elif sweep["state"] != "FINISHED":
        cap = f" of {sweep['run_cap']} planned" if pd.notna(sweep["run_cap"]) else ""
        parts.append(f"The sweep was not finished ({str(sweep['state']).lower()}, {len(trials)}{cap} trials).")
    return parts


def _winner(trials: pd.DataFrame, sweep: pd.Series[Any]) -> list[str]:
    column, parameters = selected_metric(sweep["metric"]), searched(sweep)
    table = ranked(trials, sweep)
    table = table[table["rank"].notna()]
    barred = _barred(trials, sweep)
    if table.empty:
        return barred or [f"No complete trial has {column}: there is nothing to rank."]
    if several := several_metrics(sweep):
        return [*barred, *_pareto_set(table[table["rank"] == 1], len(table), several, parameters)]
    return barred + _one_winner(table, sweep)


def _barred(trials: pd.DataFrame, sweep: pd.Series[Any]) -> list[str]:
    """Which complete trials violate the outcome constraints."""
    barred = trials[(trials["state"] == "COMPLETE") & ~can_win(trials)]
    if barred.empty:
        return []
    verb = "violates" if len(barred) == 1 else "violate"
    conditions = " and ".join(outcome_constraints(sweep))
    return [
        f"{begin(trials_listed(barred['trial']))} {verb} {conditions or 'an outcome constraint'} at the selected epoch,"
        " and cannot win."
    ]


def _pareto_set(best: pd.DataFrame, among: int, metrics: list[tuple[str, str]], parameters: Sequence[str]) -> list[str]:
    """Who is in it, and who is best in each metric."""
    columns = [selected_metric(name) for name, _ in metrics]
    if len(best) == 1:
        first = best.iloc[0]
        scores = ", ".join(f"{column} {number(first[column])}" for column in columns)
        who = "is the only one ranked" if among == 1 else f"is at least as good as the other {among - 1} in every metric"
        return [f"Trial {first['trial']} ({configuration(first, parameters)}) {who}: {scores}."]
    told = []
    for (_, goal), column in zip(metrics, columns, strict=True):
        row = best.sort_values(column, ascending=goal == "minimize", kind="stable").iloc[0]
        way = "lowest" if goal == "minimize" else "highest"
        told.append(f"trial {row['trial']} has the {way} {column}, {number(row[column])} ({configuration(row, parameters)})")
    return [
        f"{begin(trials_listed(best['trial']))} are the Pareto set of {listed(columns)} among {among} ranked: none of them is"
        " beaten in one without being better in another.",
        f"{begin('; '.join(told))}. One seed each: confirm before you believe small differences.",
    ]


def _one_winner(table: pd.DataFrame, sweep: pd.Series[Any]) -> list[str]:
    column, parameters = selected_metric(sweep["metric"]), searched(sweep)
    first = table.iloc[0]
    at = f" at epoch {first['best/epoch']:.0f}" if pd.notna(first.get("best/epoch")) else ""
    score = f"{column} {number(first[column])}{at}"
    if len(table) == 1:
        return [f"Trial {first['trial']} ({configuration(first, parameters)}) is the only one ranked: {score}."]
    second = table.iloc[1]
    lead = abs(float(first[column]) - float(second[column]))
    if lead == 0:
        equal = table.loc[table["rank"] == 1, "trial"]
        tie = f"{begin(trials_listed(equal))} are equal: {score}; trial {first['trial']} is {configuration(first, parameters)}."
        return [tie, *_replicates(table, sweep)]
    runner_up = f"trial {second['trial']} ({configuration(second, parameters)})"
    better = "lower" if sweep["goal"] == "minimize" else "higher"
    return [
        f"Trial {first['trial']} won ({configuration(first, parameters)}): {score},"
        f" {number(lead)} {better} than the runner-up, {runner_up}.",
        _doubt(table, lead, parameters) + _test_order(table, sweep),
        *_replicates(table, sweep),
    ]


def _doubt(table: pd.DataFrame, lead: float, parameters: Sequence[str]) -> str:
    """What the lead of the first trial over the second is worth."""
    alike = alike_in(table, parameters)
    if alike.iloc[0] == alike.iloc[1] and table["seed"].iloc[:2].nunique() == 2:
        return "These two differ only in their seed: the lead is chance, not a finding."
    if "schedule" in table:
        return f"One population, hence no interval: a difference of {number(lead)} may not come again under another search.seed."
    if alike.nunique() == len(table.assign(alike=alike).drop_duplicates(["alike", "seed"])):
        return f"One seed each, hence no interval: confirm before you believe a difference of {number(lead)}."
    return "This is one trial against one: compare their configurations by the means below."


def _by_seed(trials: pd.DataFrame, parameters: Sequence[str]) -> list[pd.DataFrame]:
    """The trials of each configuration, one a seed: the same seed twice is the same training twice."""
    single = trials.assign(alike=alike_in(trials, parameters)).drop_duplicates(["alike", "seed"])
    return [alike.drop(columns="alike") for _, alike in single.groupby("alike")]


def _replicates(table: pd.DataFrame, sweep: pd.Series[Any]) -> list[str]:
    """How each configuration that was trained with several seeds does on average; the best four."""
    column, parameters = selected_metric(sweep["metric"]), searched(sweep)
    names = [name for name in parameters if name != "seed"]
    repeated = table[alike_in(table, parameters).duplicated(keep=False)]  # the others need no grouping, and may be thousands
    groups = [runs for runs in _by_seed(repeated, parameters) if len(runs) > 1]
    groups.sort(key=lambda runs: float(runs[column].mean()), reverse=sweep["goal"] == "maximize")
    told = []
    for runs in groups[:4]:
        which = f" for {configuration(runs.iloc[0], names)}" if names else ""
        told.append(f"{runs[column].mean():.5g} ± {runs[column].std():.2g} over {len(runs)} seeds{which}")
    more = [f"and so on for {count_of(len(groups) - 4, 'further configuration')}"] if len(groups) > 4 else []
    return [f"{column}, mean ± standard deviation between seeds: {'; '.join([*told, *more])}."] if told else []


def order_on_test(first: pd.Series[Any], second: pd.Series[Any], sweep: pd.Series[Any]) -> tuple[str, str, str] | None:
    """Whether the test set, which chose nothing, agrees that the first is better: its metric, the verdict, both scores."""
    column = "test/" + str(sweep["metric"]).rpartition("/")[2]
    if pd.isna(first.get(column)) or pd.isna(second.get(column)):
        return None
    gain = float(second[column]) - float(first[column])
    gain = gain if goal_of(column, sweep) == "minimize" else -gain
    verdict = "agrees" if gain > 0 else "does NOT agree" if gain < 0 else "tells no difference"
    return column, verdict, f"{number(first[column])} against {number(second[column])}"


def _test_order(table: pd.DataFrame, sweep: pd.Series[Any]) -> str:
    if (found := order_on_test(table.iloc[0], table.iloc[1], sweep)) is None:
        return ""
    column, verdict, scores = found
    fresh = f"Each is of one seed; vae-sweeps confirm {sweep['name']} gives means over fresh ones."
    told = f" {column} {verdict}: {scores}."
    return told if "schedule" in table else f"{told} {fresh}"


def _fairness(complete: pd.DataFrame, parameters: Sequence[str]) -> list[str]:
    """What all complete trials share, and a warning for each thing that they do not."""
    shared, warnings = [], []
    for column, words in _MUST_BE_EQUAL.items():
        if column not in complete or complete[column].isna().all() or (column == "seed" and "seed" in parameters):
            continue
        missing = "none" if column == "training.patience" else "unknown"
        values = complete[column].astype(object).where(complete[column].notna(), missing)
        if values.nunique() == 1:
            shared.append(f"{words} ({plain(values.iloc[0])})")
        else:
            told = "; ".join(f"{plain(value)} in {trials_listed(among)}" for value, among in complete["trial"].groupby(values))
            warnings.append(f"{BEWARE}: complete trials do not share {words}: {told}.")
    count = len(complete)
    everyone = {1: "It has", 2: "Both complete trials have"}.get(count, f"All {count} complete trials have")
    sentences = [f"{everyone} {listed(shared)}."] if shared else []
    if "seed" in parameters:
        sets = [tuple(sorted(runs["seed"].dropna())) for runs in _by_seed(complete, parameters)]
        if len(set(sets)) > 1:
            warnings.append(f"{BEWARE}: configurations were not all trained with the same seeds.")
        elif len(sets) > 1:
            sentences.append(f"Each configuration was trained with the same {_seeds(sets[0])}.")
    return sentences + _early(complete) + warnings


def _early(complete: pd.DataFrame) -> list[str]:
    """Who stopped before the planned number of epochs, and whether one rule decided that for all."""
    early = complete[complete["epochs"] < complete["training.epochs"]] if "training.epochs" in complete else complete.iloc[:0]
    if early.empty:
        return []
    patience = complete["training.patience"] if "training.patience" in complete else pd.Series(dtype="Int64")
    if patience.isna().all():
        rule = "by a rule that is not recorded"
    elif patience.notna().all() and patience.nunique() == 1:
        rule = f"by the same rule for all (patience {plain(patience.iloc[0])})"
    else:
        rule = "and not by one rule for all"
    first, last = early["epochs"].min(), early["epochs"].max()
    after = count_of(first, "epoch") if first == last else f"{first} to {last} epochs"
    return [f"{begin(trials_listed(early['trial']))} stopped early, {rule}, after {after}."]


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed, {seeds[0]}" if len(seeds) == 1 else f"seeds, {listed(map(str, seeds))}"
