"""The analyses against answers known in closed form, and against another library where there is one."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dashboards.analyses.annealing import by_schedule
from dashboards.analyses.comparison import compare
from dashboards.analyses.cost import efficiency, hours_by_state, most_at_once, timeline
from dashboards.analyses.effects import effect
from dashboards.analyses.importance import importance
from dashboards.analyses.intervals import mean_interval
from dashboards.analyses.learning_curves import annealing_ends, learning_curves
from dashboards.analyses.progress import expected_best, progress
from dashboards.analyses.rate_distortion import hypervolume, iso_elbo, plane
from dashboards.analyses.scores import configurations
from dashboards.analyses.softmax import speed_against_exactness
from dashboards.figures.training import timeline as drawn_timeline

SCORE = "best/val/neg_elbo"


def sweep_of(*parameters: str, **own: Any) -> pd.Series[Any]:
    row = {
        "name": "s",
        "metric": "val/neg_elbo",
        "goal": "minimize",
        "method": "random",
        "metrics": "",
        "outcome_constraints": "",
        "parameters": json.dumps(list(parameters)),
        "duration_s": 100.0,
    }
    return pd.Series(row | own)


def trials_of(**columns: Any) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    fixed = {"trial": range(count), "state": ["COMPLETE"] * count, "seed": [0] * count, "duration_s": [1.0] * count}
    return pd.DataFrame(fixed | columns)


@pytest.mark.parametrize("method", ["ped_anova", "fanova"])
def test_what_does_nothing_has_no_importance(method: Any) -> None:
    draw = np.random.default_rng(0)
    x, y, kind = draw.uniform(0, 1, 200), draw.uniform(1e-4, 1e-1, 200), draw.choice(["a", "b"], 200)
    trials = trials_of(x=x, y=y, kind=kind, **{SCORE: 10 * (x - 0.3) ** 2 + 2 * (kind == "a")})
    found = importance(trials, sweep_of("x", "y", "kind"), method=method)
    assert found["parameter"].iloc[0] == "x"
    by = found.set_index("parameter")["importance"]
    assert by["x"] > 0.5
    assert by["y"] < 0.1
    if method == "fanova":  # the other tells apart the best tenth alone, which x decides
        assert by["kind"] > by["y"]


@pytest.mark.parametrize("method", ["ped_anova", "fanova"])
def test_a_conditional_parameter_is_judged_where_it_is(method: Any) -> None:
    """Active in half of the trials, and all that matters there."""
    draw = np.random.default_rng(1)
    kind = np.repeat(["linear", "constant"], 100)
    warmup = np.where(kind == "linear", draw.uniform(0, 1, 200), np.nan)
    noise = draw.uniform(0, 1, 200)
    score = np.where(kind == "linear", 5 * np.nan_to_num(warmup), 2.0) + 0.01 * noise
    trials = trials_of(kind=kind, warmup=warmup, noise=noise, **{SCORE: score})
    found = importance(trials, sweep_of("kind", "warmup", "noise"), method=method).set_index("parameter")
    assert found.loc["warmup", "trials"] == 100
    assert found.loc["warmup", "importance"] > 5 * found.loc["noise", "importance"]


def test_fanova_agrees_with_the_variance_of_an_additive_function() -> None:
    """Of f = 3 x + y, independent and uniform, x has 9 tenths of the variance."""
    draw = np.random.default_rng(2)
    x, y = draw.uniform(0, 1, 600), draw.uniform(0, 1, 600)
    found = importance(trials_of(x=x, y=y, **{SCORE: 3 * x + y}), sweep_of("x", "y"), method="fanova").set_index("parameter")
    assert found.loc["x", "importance"] == pytest.approx(0.9, abs=0.04)


def test_importance_of_few_trials_is_not_told() -> None:
    trials = trials_of(x=[1.0, 2.0], **{SCORE: [1.0, 2.0]})
    assert importance(trials, sweep_of("x")).empty
    with pytest.raises(ValueError, match="must be one of ped_anova, fanova"):
        importance(trials, sweep_of("x"), method="anova")  # type: ignore[arg-type]


def test_trials_without_a_fair_score_have_no_part() -> None:
    trials = trials_of(x=np.arange(20.0), **{SCORE: np.arange(20.0)})
    trials.loc[0, "state"] = "PRUNED"
    assert importance(trials, sweep_of("x"))["trials"].tolist() == [19]
    assert effect(trials, sweep_of("x"), "x")["trials"].sum() == 19


def test_the_plane_and_its_frontier() -> None:
    rates, distortions = [1.0, 2.0, 3.0, 2.5], [9.0, 5.0, 4.0, 6.0]
    trials = trials_of(**{"best/val/rate": rates, "best/val/distortion": distortions})
    points = plane(trials)
    assert points["trial"].tolist() == [0, 1, 3, 2]
    assert points["pareto"].tolist() == [True, True, False, True]
    assert points["neg_elbo"].tolist() == [10.0, 7.0, 8.5, 7.0]
    assert hypervolume(points, 4.0, 10.0) == pytest.approx(3 * 1 + 2 * 4 + 1 * 1)


def test_hypervolume_agrees_with_optuna() -> None:
    from optuna._hypervolume import compute_hypervolume

    draw = np.random.default_rng(3)
    for _ in range(20):
        pairs = draw.uniform(0, 1.2, (15, 2))
        points = pd.DataFrame({"rate": pairs[:, 0], "distortion": pairs[:, 1]})
        inside = pairs[(pairs < 1.0).all(axis=1)]
        expected = compute_hypervolume(inside, np.array([1.0, 1.0])) if len(inside) else 0.0
        assert hypervolume(points, 1.0, 1.0) == pytest.approx(expected)


def test_iso_lines_are_round_and_cross_the_points() -> None:
    points = pd.DataFrame({"neg_elbo": [97.3, 113.8]})
    assert iso_elbo(points) == [100.0, 105.0, 110.0, 115.0]
    assert iso_elbo(points.iloc[:1]) == [97.3]
    assert iso_elbo(points.iloc[:0]) == []


def test_curves_are_averaged_over_the_seeds_of_a_configuration() -> None:
    trials = trials_of(x=[1.0, 1.0, 2.0], seed=[0, 1, 0], state=["COMPLETE", "COMPLETE", "PRUNED"])
    rows = [
        (trial, epoch, "val/neg_elbo", value)
        for trial, values in enumerate([[4, 2], [6, 4], [9]])
        for epoch, value in enumerate(values, 1)
    ]
    curves = pd.DataFrame(rows, columns=["trial", "epoch", "metric", "value"])
    table = learning_curves(curves, trials, sweep_of("x", "seed"))
    assert table[["configuration", "epoch", "mean", "seeds", "complete"]].values.tolist() == [
        [0, 1, 5.0, 2, True],
        [0, 2, 3.0, 2, True],
        [2, 1, 9.0, 1, False],
    ]
    assert (table["low"].iloc[0], table["high"].iloc[0]) == pytest.approx((5 - 12.706, 5 + 12.706), abs=1e-3)
    assert np.isnan(table["low"].iloc[2])
    assert configurations(trials, sweep_of("x", "seed")).tolist() == [0, 0, 2]


def test_the_same_training_twice_is_no_second_seed() -> None:
    trials = trials_of(x=[1.0, 1.0], seed=[0, 0])
    curves = pd.DataFrame([(trial, 1, "val/neg_elbo", 4.0) for trial in (0, 1)], columns=["trial", "epoch", "metric", "value"])
    assert learning_curves(curves, trials, sweep_of("x"))["seeds"].tolist() == [1]


def test_annealing_ends_where_the_weight_is_whole() -> None:
    weights = {0: [1, 1, 1], 1: [0.3, 0.7, 1], 2: [0.5, 1, 0.5], 3: [0.2, 0.4, 0.4]}
    rows = [(trial, epoch, "train/beta", value) for trial, values in weights.items() for epoch, value in enumerate(values, 1)]
    ends = annealing_ends(pd.DataFrame(rows, columns=["trial", "epoch", "metric", "value"]))
    assert ends[[0, 1, 3]].tolist() == [1, 3, 2]
    assert pd.isna(ends[2])


def test_annealing_of_a_population_ends_before_its_parameters_change() -> None:
    """Trial 1 went on from trial 0 after epoch 3, with another beta, and again after epoch 4."""
    weights = {0: [0.2, 0.4, 0.4, 0.4, 0.4], 1: [0.1, 0.3, 0.3, 0.5, 0.2]}
    rows = [(trial, epoch, "train/beta", value) for trial, values in weights.items() for epoch, value in enumerate(values, 1)]
    rows += [(1, 3, "population/donor", 0.0), (1, 4, "population/donor", 0.0)]
    ends = annealing_ends(pd.DataFrame(rows, columns=["trial", "epoch", "metric", "value"]))
    assert ends.tolist() == [2, 2]


def test_an_effect_has_the_levels_of_the_parameter() -> None:
    trials = trials_of(p=[0.0, 0.0, 0.5, 0.5, 0.5], **{SCORE: [1.0, 3.0, 4.0, 5.0, 6.0]})
    table = effect(trials, sweep_of("p"), "p")
    assert table[["level", "trials", "mean", "best", "middle"]].values.tolist() == [
        ["0", 2, 2.0, 1.0, 0.0],
        ["0.5", 3, 5.0, 4.0, 0.5],
    ]
    assert (table["low"].iloc[1], table["high"].iloc[1]) == pytest.approx((5 - 2.4841, 5 + 2.4841), abs=1e-3)
    binned = effect(trials_of(p=np.linspace(0, 1, 50), **{SCORE: np.linspace(0, 1, 50)}), sweep_of("p"), "p")
    assert binned["trials"].tolist() == [10] * 5
    assert binned["mean"].is_monotonic_increasing


def test_the_expected_best_of_random_draws() -> None:
    """By all draws of 2 of 3 values, with replacement."""
    values = np.array([5.0, 1.0, 3.0])
    for draws in (1, 2, 3):
        everything = [min(chosen) for chosen in itertools.product(values, repeat=draws)]
        assert expected_best(values, draws) == pytest.approx(np.mean(everything))


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_progress(goal: str) -> None:
    scores = [4.0, 2.0, 5.0, 1.0, 3.0, 9.0]
    table = progress(trials_of(**{SCORE: scores}), sweep_of("x", goal=goal))
    assert table["best"].tolist() == ([4, 2, 2, 1, 1, 1] if goal == "minimize" else [4, 4, 5, 5, 5, 9])
    assert table["random"].iloc[0] == pytest.approx(4.0)
    searched = progress(trials_of(**{SCORE: scores}), sweep_of("x", goal=goal, method="tpe"), random=5)
    assert searched["random"].iloc[0] == pytest.approx(3.0)
    assert progress(trials_of(**{SCORE: scores}), sweep_of("x", method="tpe"), random=4)["random"].isna().all()
    survivors = trials_of(**{SCORE: [*scores, 99.0]}, state=["COMPLETE"] * 6 + ["PRUNED"])
    assert progress(survivors, sweep_of("x", goal=goal))["random"].isna().all(), "who is left is no random sample"


def test_speed_against_exactness() -> None:
    columns = {
        "model.softmax.kind": ["full", "full", "sampled"],
        "train/tokens_per_s": [10.0, 30.0, 200.0],
        "best/val/perplexity": [100.0, 90.0, 95.0],
        "best/val/softmax_gap": [0.0, 0.0, -3.0],
    }
    table = speed_against_exactness(trials_of(**columns))
    assert table.values.tolist() == [["sampled", 1, 200.0, 10.0, 95.0, 95.0, -3.0], ["full", 2, 20.0, 1.0, 90.0, 95.0, 0.0]]
    assert speed_against_exactness(trials_of(x=[1])).empty


def test_schedules_and_collapse() -> None:
    columns = {
        "objective.annealing.kind": ["linear", "linear", "constant"],
        "state": ["COMPLETE", "COMPLETE", "COLLAPSED"],
        "best/val/rate": [2.0, 4.0, 0.0],
        "best/val/active_units": [3.0, 5.0, 0.0],
        SCORE: [70.0, 60.0, 50.0],
    }
    table = by_schedule(trials_of(**columns))
    assert table["schedule"].tolist() == ["linear", "constant"]
    assert table.iloc[0].tolist() == ["linear", 2, 0.0, 3.0, 4.0, 60.0]
    assert np.isnan(table["neg_elbo"].iloc[1]), "a collapsed score is no one's best"
    stopped = trials_of(**columns | {"best/val/rate": [2.0, 4.0, np.nan], "val/rate": [9.0, 9.0, 0.01]})
    assert by_schedule(stopped)["rate"].tolist() == [3.0, 0.01], "stopped before an epoch was selected: its last one"


def test_time_and_lanes() -> None:
    began = pd.Timestamp("2026-01-01", tz="UTC")
    at = [began + pd.Timedelta(seconds=second) for second in (0, 1, 5, 6)]
    end = [began + pd.Timedelta(seconds=second) for second in (5, 6, 9, 8)]
    trials = trials_of(started=at, ended=end, duration_s=[5.0, 5.0, 4.0, 2.0], state=["COMPLETE"] * 3 + ["PRUNED"])
    table = timeline(trials)
    assert table["lane"].tolist() == [0, 1, 0, 1]
    assert most_at_once(trials) == 2
    assert (table["end_s"] - table["start_s"]).tolist() == [5, 5, 4, 2]
    assert hours_by_state(trials).values.tolist() == [["COMPLETE", 3, 14 / 3600, 14 / 16], ["PRUNED", 1, 2 / 3600, 2 / 16]]
    assert efficiency(trials, sweep_of("x", duration_s=10.0), workers=2) == pytest.approx(0.8)


def test_workers_have_the_lanes_of_their_hosts() -> None:
    """In whatever order they come; a second driver's workers are others than the first's."""
    began = pd.Timestamp("2026-01-01", tz="UTC")
    at = [began + pd.Timedelta(seconds=second) for second in (0, 1, 5, 6)]
    trials = trials_of(started=at, ended=[each + pd.Timedelta(seconds=2) for each in at], worker=["b/7", "a/9", "b/3", "b/7"])
    table = timeline(trials)
    assert table["worker"].tolist() == ["b 1", "a 1", "b 2", "b 1"]
    assert table["lane"].tolist() == [1, 0, 2, 1]
    assert most_at_once(trials) == 2
    trials.loc[2, "worker"] = None
    table = timeline(trials)
    assert table[["worker", "lane"]].values.tolist() == [["b 1", 1], ["a 1", 0], ["", 2], ["b 1", 1]]
    axis = drawn_timeline(table).layout.yaxis
    assert list(zip(axis.tickvals, axis.ticktext, strict=True)) == [(1, "a 1"), (2, "b 1"), (3, "not known")]


def test_a_lane_is_shared_by_no_two_at_once() -> None:
    draw = np.random.default_rng(4)
    began = pd.Timestamp("2026-01-01", tz="UTC")
    start = np.sort(draw.uniform(0, 100, 60))
    length = draw.uniform(0.5, 20, 60)
    trials = trials_of(
        started=[began + pd.Timedelta(seconds=at) for at in start],
        ended=[began + pd.Timedelta(seconds=at) for at in start + length],
    )
    table = timeline(trials)
    for _, own in table.groupby("lane"):
        assert (own["start_s"].to_numpy()[1:] >= own["end_s"].to_numpy()[:-1] - 1e-6).all()
    at_once = max(int(((start <= moment) & (start + length > moment)).sum()) for moment in start)
    assert table["lane"].max() + 1 == at_once


def test_sweeps_beside_each_other() -> None:
    first = trials_of(**{SCORE: [3.0, 2.0], "data.fingerprint": ["d", "d"]})
    second = trials_of(**{SCORE: [1.0, 5.0], "data.fingerprint": ["e", "e"]})
    sweeps = {"one": (first, sweep_of("x", "y")), "two": (second, sweep_of("y", "z", method="tpe"))}
    table = compare(sweeps)
    assert table[["sweep", "best", "trial", "median", "same_data"]].values.tolist() == [
        ["one", 2.0, 1, 2.5, True],
        ["two", 1.0, 0, 3.0, False],
    ]


def test_a_curve_counts_the_seeds_that_have_a_value() -> None:
    """A first attempt that failed hides no second, and an epoch without a number counts for none."""
    trials = trials_of(x=[1.0] * 4, seed=[0, 0, 1, 2], state=["FAILED", "COMPLETE", "COMPLETE", "COMPLETE"])
    points = [(0, 9.0), (1, 1.0), (2, 3.0), (3, np.nan)]
    curves = pd.DataFrame([{"trial": trial, "epoch": 1, "metric": "val/neg_elbo", "value": at} for trial, at in points])
    (row,) = learning_curves(curves, trials, sweep_of("x", "seed")).to_dict("records")
    assert (row["mean"], row["seeds"], row["complete"]) == (2.0, 2, True)
    assert row["high"] == pytest.approx(2 + 12.706, abs=1e-3)


def test_intervals() -> None:
    assert mean_interval([1.0, 3.0]) == pytest.approx((2.0, 2 - 12.706, 2 + 12.706), abs=1e-3)
    assert mean_interval([1.0])[0] == 1.0
    assert all(np.isnan(mean_interval([])))
