"""The statistics of a confirmation against known answers: by hand, by scipy, by simulation."""

from __future__ import annotations

import json
import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dashboards.confirmation import (
    MISSING,
    Plan,
    answer_metric,
    cells_of,
    comparisons,
    estimates,
    holm,
    interval,
    measured,
    paired_p,
    plan_of,
)
from dashboards.confirmation_report import render
from dashboards.confirmation_words import between, confirmed, sentences_of, signed
from dashboards.errors import StoreError

SEEDS = (1, 2, 3, 4, 5)


def sweep_row(plan: Plan, **changes: Any) -> pd.Series[Any]:
    row = {
        "name": "s-confirm",
        "state": "FINISHED",
        "question": "Which?",
        "metric": "val/neg_elbo",
        "goal": "minimize",
        "parameters": json.dumps(["seed", "objective.beta"]),
        "run_id": "r",
        "confirms": plan.sweep,
        "confirms_plan": json.dumps({"trials": plan.trials, "seeds": plan.seeds}),
    }
    return pd.Series(row | changes)


def trials_of(scores: dict[int, list[float]], seeds: tuple[int, ...] = SEEDS, **more: dict[int, list[Any]]) -> pd.DataFrame:
    """What ``load_trials`` gives: of each configuration a score by seed, seed by seed; ``more`` likewise, ``__`` for ``/``."""
    rows = []
    for index, seed in enumerate(seeds):
        for place, (trial, values) in enumerate(scores.items()):
            row = {
                "run_id": f"{trial}-{seed}",
                "trial": index * len(scores) + place,
                "state": "COMPLETE",
                "reason": "",
                "seed": seed,
                "objective.beta": trial / 10,
                "best/val/neg_elbo": values[index] + 1,
                "test/neg_elbo": values[index],
            }
            rows.append(row | {name.replace("__", "/"): column[trial][index] for name, column in more.items()})
    return pd.DataFrame(rows)


def plan_for(scores: dict[int, list[float]], seeds: tuple[int, ...] = SEEDS) -> Plan:
    return Plan("s", tuple(scores), seeds)


APART = {7: [10.0, 10.4, 9.9, 10.2, 10.1], 3: [12.1, 12.3, 11.9, 12.4, 12.0], 5: [10.1, 10.3, 10.05, 10.15, 10.2]}
"""Trial 7 is best, 5 is like it, 3 is worse."""


def told(scores: dict[int, list[float]], trials: pd.DataFrame, seeds: tuple[int, ...] = SEEDS) -> str:
    plan = plan_for(scores, seeds)
    sweep = sweep_row(plan)
    return " ".join(sentences_of(confirmed(trials, sweep, plan), sweep))


def test_holm_by_hand() -> None:
    """p = 0.01, 0.02, 0.03, 0.04: times 4, 3, 2, 1 are 0.04, 0.06, 0.06, 0.04, and never below the one before."""
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_holm_leaves_out_what_was_not_tested() -> None:
    corrected = holm([math.nan, 0.02, math.nan, 0.01])
    assert corrected[1::2] == pytest.approx([0.02, 0.02])
    assert math.isnan(corrected[0])
    assert math.isnan(corrected[2])


def test_holm_keeps_the_chance_of_any_false_finding() -> None:
    """Of 2,000 families of four true null hypotheses about 5 % have a finding; uncorrected, about 18.5 %."""
    draws = np.random.default_rng(3).uniform(size=(2000, 4))
    assert np.mean([min(holm(row.tolist())) <= 0.05 for row in draws]) == pytest.approx(0.05, abs=0.012)
    assert np.mean(draws.min(axis=1) <= 0.05) > 0.15


def test_the_paired_test_is_scipys() -> None:
    one, other = np.array(APART[3]), np.array(APART[7])
    assert paired_p(one - other) == pytest.approx(stats.ttest_rel(one, other).pvalue, rel=1e-12)


def test_the_paired_test_by_hand() -> None:
    """Differences 1, 2, 3: mean 2, sd 1, t = 2 sqrt 3 = 3.4641; with two degrees of freedom p = 0.07418."""
    assert paired_p(np.array([1.0, 2.0, 3.0])) == pytest.approx(1 - math.sqrt(12 / 14), rel=1e-9)


@pytest.mark.parametrize(("gaps", "p"), [([0.0, 0.0, 0.0], 1.0), ([0.5, 0.5, 0.5], 0.0)])
def test_differences_without_spread(gaps: list[float], p: float) -> None:
    assert paired_p(np.array(gaps)) == p


@pytest.mark.parametrize("gaps", [[], [1.0]])
def test_one_pair_is_no_test(gaps: list[float]) -> None:
    assert math.isnan(paired_p(np.array(gaps)))


@pytest.mark.parametrize(("count", "low", "high"), [(5, 0.88, 0.97), (7, 0.92, 0.97), (10, 0.93, 0.97), (20, 0.93, 0.97)])
def test_the_interval_holds_the_true_mean_as_often_as_it_says(count: int, low: float, high: float) -> None:
    generator = np.random.default_rng(count)
    ends = [interval(generator.normal(5.0, 2.0, count)) for _ in range(1000)]
    assert low <= np.mean([start <= 5.0 <= end for start, end in ends]) <= high


def test_the_plain_percentile_interval_would_not() -> None:
    """What the widening is for: of the same five values, the plain one holds the mean in some 83 %."""
    generator = np.random.default_rng(5)
    hits = []
    for _ in range(500):
        values = generator.normal(5.0, 2.0, 5)
        plain = stats.bootstrap((values,), np.mean, n_resamples=999, method="percentile", rng=np.random.default_rng(0))
        hits.append(plain.confidence_interval.low <= 5.0 <= plain.confidence_interval.high)
    assert np.mean(hits) < 0.88


def test_for_many_values_it_is_students() -> None:
    values = np.random.default_rng(0).normal(3.0, 1.0, 400)
    half = stats.t.ppf(0.975, 399) * values.std(ddof=1) / 20
    assert interval(values) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.01)


def test_the_interval_is_seeded_and_lies_within_the_values() -> None:
    values = np.array(APART[7])
    low, high = interval(values)
    assert interval(values) == (low, high)
    assert values.min() <= low < values.mean() < high <= values.max()


def test_degenerate_intervals() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert interval(np.array([2.0, 2.0, 2.0])) == (2.0, 2.0)
        assert all(map(math.isnan, interval(np.array([2.0]))))
        assert all(map(math.isnan, interval(np.array([]))))


def test_estimates() -> None:
    table = estimates(cells_of(trials_of(APART), plan_for(APART)), ["test/neg_elbo", "best/val/neg_elbo"])
    own = table.set_index(["configuration", "metric"]).loc[(7, "test/neg_elbo")]
    assert own["seeds"] == 5
    assert own["mean"] == pytest.approx(10.12)
    assert own["sd"] == pytest.approx(np.std(APART[7], ddof=1))
    assert (own["low"], own["high"]) == interval(np.array(APART[7]))
    assert list(dict.fromkeys(table["configuration"])) == [7, 3, 5]


def test_comparisons_are_paired_by_seed_and_corrected() -> None:
    table = comparisons(cells_of(trials_of(APART), plan_for(APART)), "test/neg_elbo", "minimize").set_index("configuration")
    assert list(table["place"]) == [1, 2, 3]
    assert list(table.index) == [7, 5, 3]
    p: dict[Any, float] = {trial: stats.ttest_rel(APART[trial], APART[7]).pvalue for trial in (3, 5)}
    assert table.loc[3, "p"] == pytest.approx(p[3])
    p[3, 5] = stats.ttest_rel(APART[3], APART[5]).pvalue
    assert p[3] < p[3, 5] < p[5], "the order in which Holm corrects the three pairs"
    assert table.loc[3, "p_holm"] == pytest.approx(3 * p[3])
    assert table.loc[5, "p_holm"] == pytest.approx(p[5])
    assert set(table["family"]) == {3}
    assert list(table["apart"]) == [False, False, True]
    assert table.loc[3, "difference"] == pytest.approx(2.02)
    assert math.isnan(table.loc[7, "p"])


def test_the_other_way_round() -> None:
    table = comparisons(cells_of(trials_of(APART), plan_for(APART)), "test/neg_elbo", "maximize")
    assert list(table["configuration"]) == [3, 5, 7]


def test_pairing_sees_what_means_alone_do_not() -> None:
    """Seeds that differ by ten, configurations by a half under each: unpaired nothing, paired a finding."""
    hard = np.array([0.0, 10.0, 20.0, 30.0, 40.0])
    noise = np.array([0.01, -0.02, 0.0, 0.02, -0.01])
    scores = {1: list(hard), 2: list(hard + 0.5 + noise)}
    table = comparisons(cells_of(trials_of(scores), plan_for(scores)), "test/neg_elbo", "minimize")
    assert table["apart"].tolist() == [False, True]
    assert stats.ttest_ind(scores[1], scores[2]).pvalue > 0.9


def test_a_seed_that_failed_is_counted_and_left_out_of_pairs_only() -> None:
    trials = trials_of(APART)
    failed = trials.index[trials["trial"] == 1][0]  # trial 3 under seed 1
    trials.loc[failed, ["state", "reason", "test/neg_elbo", "seed"]] = ["FAILED", "NaN loss", math.nan, None]
    plan = plan_for(APART)
    cells = cells_of(trials, plan)
    table = comparisons(cells, "test/neg_elbo", "minimize").set_index("configuration")
    assert table.loc[3, "pairs"] == 4
    assert table.loc[3, "difference"] == pytest.approx(np.mean(np.array(APART[3][1:]) - np.array(APART[7][1:])))
    assert table.loc[5, "pairs"] == 5
    words = told(APART, trials)
    assert "Trial 3 failed under seed 1 (NaN loss): no score, and so not in the mean." in words
    assert "4 of 5" in render(confirmed(trials, sweep_row(plan), plan), sweep_row(plan), format="markdown")


@pytest.mark.parametrize(("level", "noise"), [([0.0] * 5, 1.0), ([0.0, 0.0, 0.0, 3.0, 6.0], 1.0)], ids=["equal", "three equal"])
def test_equal_configurations_are_seldom_told_apart_though_the_best_is_chosen_by_its_scores(
    level: list[float], noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """400 confirmations of five configurations under five seeds: some equal one is called worse in 5 % of them at most.

    Corrected over the four comparisons with the best alone, as if it had been chosen beforehand, it would be some 8 %.
    """
    monkeypatch.setattr("dashboards.confirmation.RESAMPLES", 19)  # the intervals are not looked at
    generator = np.random.default_rng(11)
    runs, false, naive = 400, 0, 0
    equal = [trial for trial, shift in enumerate(level) if shift == 0.0]
    for _ in range(runs):
        draws = generator.normal(0.0, 2.0, (5, 1)) + np.array(level) + generator.normal(0.0, noise, (5, 5))
        cells = pd.DataFrame(
            [
                {"configuration": trial, "seed": seed, "state": "COMPLETE", "test/neg_elbo": draws[seed, trial]}
                for trial in range(5)
                for seed in range(5)
            ]
        )
        table = comparisons(cells, "test/neg_elbo", "minimize").set_index("configuration")
        assert table["family"].iloc[0] == 10
        own = table.loc[[trial for trial in equal if table.loc[trial, "place"] > 1]]
        if table.index[0] in equal:
            false += bool(own["apart"].any())
            alone = pd.Series(holm(table["p"].tolist()), table.index)
            naive += bool((alone[own.index] <= 0.05).any())
    error = math.sqrt(0.05 * 0.95 / runs)
    assert false / runs <= 0.05 + 2 * error
    if len(equal) == 5:
        assert false > 0, "a test that finds nothing keeps every level"
        assert naive > 1.5 * false


def test_what_lacks_a_seed_is_never_the_best_however_good_its_mean() -> None:
    """Trial 3 is the best by far, where it did not fail."""
    scores = {**APART, 3: [1.0, 1.1, 1.2, math.nan, math.nan]}
    trials = trials_of(scores)
    failed = trials["run_id"].isin(["3-4", "3-5"])
    trials.loc[failed, ["state", "reason"]] = ["FAILED", "NaN loss"]
    plan = plan_for(scores)
    table = comparisons(cells_of(trials, plan), "test/neg_elbo", "minimize")
    assert table["configuration"].tolist() == [7, 5, 3]
    assert table["place"].tolist() == [1, 2, 0]
    assert table["whole"].tolist() == [True, True, False]
    words = told(scores, trials)
    assert "Best on test/neg_elbo: trial 7" in words
    assert "Trial 3 has a score under 3 of 5 seeds only, and cannot be the best; under the 3 seeds that both have" in words
    assert "Worse than it: trial 3" not in words
    lines = render(confirmed(trials, sweep_row(plan), plan), sweep_row(plan), format="markdown").splitlines()
    row = next(line for line in lines if "3 of 5" in line)
    assert row.startswith("|  |"), "no place"


def test_where_every_configuration_lacks_a_seed_none_is_the_best() -> None:
    scores = {trial: [math.nan if place == index else value for place, value in enumerate(values)]
              for index, (trial, values) in enumerate(APART.items())}  # fmt: skip
    trials = trials_of(scores)
    trials.loc[trials["test/neg_elbo"].isna(), "state"] = "FAILED"
    words = told(scores, trials)
    assert "None can be called the best." in words
    assert "Trial 7 has a score under 4 of 5 seeds only, and cannot be the best." in words
    assert "Best on" not in words


def test_half_way_only_seeds_that_ended_under_all_are_compared() -> None:
    """The lead that a configuration has by one more, luckier seed counts for nothing."""
    trials = trials_of({7: [10.0, 10.0, 1.0], 3: [9.0, 9.1, math.nan]}, (1, 2, 3))
    trials.loc[trials["run_id"] == "3-3", "state"] = "RUNNING"
    plan = plan_for({7: [], 3: []}, (1, 2, 3))
    table = comparisons(cells_of(trials, plan), "test/neg_elbo", "minimize")
    assert table["configuration"].tolist() == [3, 7]
    assert table["whole"].all()
    assert table["mean"].tolist() == pytest.approx([9.05, 10.0])


def test_rounded_to_nothing_has_no_sign() -> None:
    assert signed(-0.001) == "+0.00"
    assert between(-0.004, 0.0) == "[0.00, 0.00]"


def test_a_collapsed_seed_counts_with_its_score_and_is_told() -> None:
    trials = trials_of(APART)
    trials.loc[trials["run_id"] == "7-4", ["state", "reason"]] = ["COLLAPSED", "0 active units"]
    assert "Trial 7 collapsed under seed 4 (0 active units): counted with the scores that it has." in told(APART, trials)
    table = comparisons(cells_of(trials, plan_for(APART)), "test/neg_elbo", "minimize")
    assert table.iloc[0][["configuration", "mean"]].tolist() == [7, pytest.approx(10.12)]


def test_what_always_collapses_is_not_the_best() -> None:
    trials = trials_of(APART)
    trials.loc[trials["run_id"].str.startswith("7-"), "state"] = "COLLAPSED"
    table = comparisons(cells_of(trials, plan_for(APART)), "test/neg_elbo", "minimize").set_index("configuration")
    assert list(table.index) == [5, 3, 7]
    assert table.loc[7, "mean"] == pytest.approx(10.12)
    assert "Best on test/neg_elbo: trial 5" in told(APART, trials)


def test_a_training_that_is_not_recorded_yet() -> None:
    trials = trials_of(APART)[:-2]
    cells = cells_of(trials, plan_for(APART))
    assert len(cells) == 15
    assert cells.groupby("configuration", sort=False)["state"].apply(lambda states: (states == MISSING).sum()).tolist() == [
        0,
        1,
        1,
    ]
    assert "Provisional: 2 of 15 trainings have not ended. vae-sweeps resume s-confirm" in told(APART, trials)


def test_nothing_is_recorded_yet() -> None:
    trials = trials_of(APART)[["run_id", "trial", "state", "reason", "seed"]].iloc[:0]
    assert "No training has test/neg_elbo yet: there is nothing to compare." in told(APART, trials)
    plan = plan_for(APART)
    assert "0 of 5" in render(confirmed(trials, sweep_row(plan), plan), sweep_row(plan))


def test_one_seed_has_neither_interval_nor_test() -> None:
    scores = {trial: values[:1] for trial, values in APART.items()}
    trials = trials_of(scores, seeds=(9,))
    words = told(scores, trials, seeds=(9,))
    assert "One seed each: no interval and no test." in words
    assert "Best on test/neg_elbo: trial 7 (beta 0.7), 10.00 over 1 seed." in words
    assert "nan" not in words
    plan = plan_for(scores, (9,))
    drawn = render(confirmed(trials, sweep_row(plan), plan), sweep_row(plan))
    assert "nan" not in drawn
    assert "[" not in drawn


def test_equal_values_cannot_be_told_apart() -> None:
    scores = {1: [3.0, 3.0, 3.0], 2: [3.0, 3.0, 3.0]}
    trials = trials_of(scores, seeds=(1, 2, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        words = told(scores, trials, seeds=(1, 2, 3))
    assert "Cannot be told apart from it at the 5% level: trial 2 by +0.00 [0.00, 0.00], p 1.000." in words


def test_the_sentences_say_who_is_apart() -> None:
    words = told(APART, trials_of(APART))
    assert "Best on test/neg_elbo: trial 7 (beta 0.7), 10.12 [" in words
    assert "Cannot be told apart from it at the 5% level: trial 5 by +0.04 [" in words
    assert "Worse than it: trial 3 by +2.02 [" in words
    assert "Holm's correction over all 3 pairs" in words
    assert "The search's own winner" not in words


def test_a_winner_that_does_not_hold_is_named() -> None:
    order = {3: APART[3], 7: APART[7]}
    assert "The search's own winner was trial 3." in told(order, trials_of(order))


def test_one_configuration_alone() -> None:
    scores = {7: APART[7]}
    words = told(scores, trials_of(scores))
    assert "Best on test/neg_elbo: trial 7" in words
    assert "Holm" not in words


def test_few_seeds_are_called_few() -> None:
    scores = {trial: values[:3] for trial, values in APART.items()}
    assert "From 3 seeds it misses the true mean in more than 5% of all cases." in told(
        scores, trials_of(scores, (1, 2, 3)), (1, 2, 3)
    )
    assert "From 5 seeds" not in told(APART, trials_of(APART))


def test_infinite_scores_are_no_scores() -> None:
    scores = {1: [1.0, 2.0, math.inf], 2: [2.0, 3.0, 4.0]}
    table = estimates(cells_of(trials_of(scores, (1, 2, 3)), plan_for(scores, (1, 2, 3))), ["test/neg_elbo"])
    assert table["seeds"].tolist() == [2, 3]


def test_the_metrics_told_begin_with_the_answer() -> None:
    flat = {trial: [float(k) for k in range(5)] for trial in APART}
    trials = trials_of(APART, test__perplexity=flat, test__iw_nll=flat)
    cells = cells_of(trials, plan_for(APART))
    row = sweep_row(plan_for(APART), metric="val/perplexity")
    assert answer_metric(row) == "test/perplexity"
    assert measured(cells, row) == ["test/perplexity", "test/neg_elbo", "test/iw_nll"]


def test_the_plan_is_read_and_a_broken_one_refused() -> None:
    plan = plan_for(APART)
    assert plan_of(sweep_row(plan)) == plan
    assert plan_of(sweep_row(plan, confirms="")) is None
    with pytest.raises(StoreError, match=r"confirms\.plan"):
        plan_of(sweep_row(plan, confirms_plan='{"trials": 3}'))


def test_a_seed_that_is_not_the_plans_is_refused() -> None:
    with pytest.raises(StoreError, match=r"has the seed 1, and its plan says 8"):
        cells_of(trials_of(APART), plan_for(APART, (8, 2, 3, 4, 5)))


def test_the_table_fits_a_narrow_terminal() -> None:
    flat = {trial: [100.0 + k for k in range(5)] for trial in APART}
    more = dict.fromkeys(("test__iw_nll", "test__perplexity", "test__iw_perplexity", "best__val__rate"), flat)
    plan = plan_for(APART)
    found = confirmed(trials_of(APART, **more), sweep_row(plan), plan)
    drawn = render(found, sweep_row(plan), width=130)
    assert max(map(len, drawn.splitlines())) <= 130
    assert "For want of width without best/val/rate" in drawn
    assert "10.12" in drawn
    assert "[100." in render(found, sweep_row(plan))


def test_hostile_words_are_escaped() -> None:
    plan = Plan("<b>s</b>", tuple(APART), SEEDS)
    sweep = sweep_row(plan, question="<script>alert(1)</script>\x1b[2J")
    found = confirmed(trials_of(APART), sweep, plan)
    assert "<" not in render(found, sweep, format="markdown")
    assert "\x1b" not in render(found, sweep)
