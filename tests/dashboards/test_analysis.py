from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd
import pytest

from dashboards.analysis import HIGHER_IS_BETTER, best_value, goal_of, leaderboard, ranked, short_names
from dashboards.errors import UnknownColumn
from dashboards.summary import configuration, summary


def sweep_row(parameters: tuple[str, ...] = ("objective.beta",), **changes: Any) -> pd.Series[Any]:
    row = {
        "name": "s",
        "state": "FINISHED",
        "question": "Which?",
        "metric": "val/neg_elbo",
        "goal": "minimize",
        "run_cap": 12,
        "parameters": json.dumps(parameters),
    }
    return pd.Series(row | changes)


def trials_of(losses: list[float], **columns: list[Any]) -> pd.DataFrame:
    """Complete trials 0, 1, ... of beta 0.1, 0.2, ... with these negative ELBOs; ``columns`` with ``__`` for a dot."""
    count = len(losses)
    frame: dict[str, list[Any]] = {
        "run_id": [f"r{k}" for k in range(count)],
        "trial": list(range(count)),
        "state": ["COMPLETE"] * count,
        "reason": [""] * count,
        "seed": [0] * count,
        "duration_s": [60.0] * count,
        "epochs": [20] * count,
        "objective.beta": [(k + 1) / 10 for k in range(count)],
        "best/epoch": [9.0] * count,
        "best/val/neg_elbo": losses,
        "data.fingerprint": ["d1"] * count,
        "training.epochs": [20] * count,
        "evaluation.importance_samples": [50] * count,
        "evaluation.importance_examples": [500] * count,
    }
    return pd.DataFrame(frame | {name.replace("__", "."): values for name, values in columns.items()})


def test_complete_trials_are_ranked_and_the_rest_follows_by_state() -> None:
    trials = trials_of(
        [3.0, 1.0, math.nan, 0.5, 2.0, math.nan, math.nan],
        state=["COMPLETE", "COMPLETE", "FAILED", "PRUNED", "COMPLETE", "RUNNING", "COMPLETE"],
    )
    table = ranked(trials, sweep_row())
    assert list(table["trial"]) == [1, 4, 0, 6, 5, 3, 2]
    assert list(table["rank"].dropna()) == [1, 2, 3]
    assert table["rank"].isna().sum() == 4


def test_equals_share_a_rank_and_stand_by_number() -> None:
    table = ranked(trials_of([2.0, 1.0, 1.0, 3.0]), sweep_row())
    assert list(zip(table["rank"], table["trial"], strict=True)) == [(1, 1), (1, 2), (3, 0), (4, 3)]


def test_infinity_is_worst_and_not_missing() -> None:
    table = ranked(trials_of([math.inf, 5.0, math.nan]), sweep_row())
    assert list(table["trial"]) == [1, 0, 2]
    assert list(table["rank"].dropna()) == [1, 2]


def test_the_goal_turns_the_order() -> None:
    trials = trials_of([1.0, 3.0, 2.0]).rename(columns={"best/val/neg_elbo": "best/val/active_units"})
    sweep = sweep_row(metric="val/active_units", goal="maximize")
    assert list(ranked(trials, sweep)["trial"]) == [1, 2, 0]
    assert best_value(trials["best/val/active_units"], "maximize") == 3.0
    assert best_value(trials["best/val/active_units"], "minimize") == 1.0
    assert math.isnan(best_value(pd.Series([], dtype="float64"), "minimize"))


@pytest.mark.parametrize(
    ("sort", "order"), [("duration_s", [2, 0, 1]), ("train/tokens_per_s", [1, 2, 0]), ("kind", [1, 0, 2]), ("trial", [0, 1, 2])]
)
def test_any_column_sorts(sort: str, order: list[int]) -> None:
    columns: dict[str, list[Any]] = {
        "duration_s": [2.0, 3.0, 1.0],
        "train/tokens_per_s": [1.0, 3.0, 2.0],
        "kind": ["full", "adaptive", "sampled"],
    }
    trials = trials_of([1.0, 2.0, 3.0], **columns)
    assert list(ranked(trials, sweep_row(), sort)["trial"]) == order


def test_an_unknown_column_offers_the_nearest() -> None:
    with pytest.raises(UnknownColumn, match=r"cannot sort by 'best/val/neg_elb': did you mean best/val/neg_elbo\?"):
        ranked(trials_of([1.0]), sweep_row(), "best/val/neg_elb")


def test_ranking_leaves_the_frame_as_it_was() -> None:
    trials = trials_of([2.0, 1.0])
    before = trials.copy()
    ranked(trials, sweep_row())
    pd.testing.assert_frame_equal(trials, before)


def test_goals_agree_with_the_table_of_metrics() -> None:
    from vae_core.metrics import METRICS

    better_up = {metric.name.rpartition("/")[2] for metric in METRICS if metric.goal == "maximize"}
    assert better_up == set(HIGHER_IS_BETTER)
    assert {goal_of(metric.name, sweep_row()) for metric in METRICS if metric.goal == "minimize"} == {"minimize"}


def test_the_leaderboard_shows_what_was_searched_and_what_was_measured() -> None:
    trials = trials_of(
        [2.0, 1.0], **{"best/val/perplexity": [math.nan] * 2, "optimizer.lr": [0.1, 0.2], "test/iw_nll": [4.0, 5.0]}
    )
    assert list(leaderboard(trials, sweep_row())) == [
        "rank", "trial", "state", "objective.beta", "best/val/neg_elbo", "test/iw_nll", "epochs", "duration_s",
    ]  # fmt: skip
    assert "run_id" in leaderboard(trials, sweep_row(), sort="run_id")
    assert len(leaderboard(trials.iloc[:0], sweep_row())) == 0


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["objective.beta", "optimizer.lr"], ["beta", "lr"]),
        (["model.softmax.kind", "objective.annealing.kind"], ["softmax", "annealing"]),
        (["model.softmax.samples", "objective.samples"], ["softmax.samples", "objective.samples"]),
        (["model.encoder.hidden", "model.decoder.hidden"], ["encoder.hidden", "decoder.hidden"]),
        (["a.b.c", "x.a.b.c"], ["a.b.c", "x.a.b.c"]),
        (["training.epochs"], ["training.epochs"]),
        (["seed"], ["seed"]),
        (["model.softmax.kind", "model.softmax.samples"], ["softmax", "samples"]),
    ],
)
def test_short_names_are_unambiguous(names: list[str], short: list[str]) -> None:
    found = short_names(names, reserved=("epochs", "trial"))
    assert [found[name] for name in names] == short
    assert len(set(found.values())) == len(names)


def text(trials: pd.DataFrame, **changes: Any) -> str:
    return "\n".join(summary(trials, sweep_row(**changes)))


def test_the_winner_and_its_lead() -> None:
    told = text(trials_of([88.5, 87.125, 90.0]))
    assert "Trial 1 won (beta 0.2): best/val/neg_elbo 87.12 at epoch 9, 1.375 lower than the runner-up" in told
    assert "the runner-up, trial 0 (beta 0.1)." in told
    assert "One seed each, hence no interval: confirm before you believe a difference of 1.375." in told
    assert told.startswith("3 trials: 3 complete.")


def test_a_tie_is_called_a_tie() -> None:
    told = text(trials_of([88.5, 87.0, 87.0]))
    assert "Trials 1 and 2 are equal: best/val/neg_elbo 87" in told
    assert "won" not in told


def test_one_trial_has_no_runner_up() -> None:
    assert "Trial 0 (beta 0.1) is the only one ranked: best/val/neg_elbo 5 at epoch 9." in text(trials_of([5.0]))


def test_a_larger_score_can_win() -> None:
    trials = trials_of([3.0, 4.0]).rename(columns={"best/val/neg_elbo": "best/val/active_units"})
    assert "Trial 1 won (beta 0.2): best/val/active_units 4 at epoch 9, 1 higher" in text(
        trials, metric="val/active_units", goal="maximize"
    )


@pytest.mark.parametrize(
    ("test_losses", "verdict"),
    [
        ([2.0, 1.0], "test/neg_elbo agrees: 1 against 2."),
        ([1.0, 2.0], "test/neg_elbo does NOT agree: 2 against 1."),
        ([1.0, 1.0], "test/neg_elbo tells no difference"),
    ],
)
def test_the_test_set_has_its_say(test_losses: list[float], verdict: str) -> None:
    assert verdict in text(trials_of([88.5, 87.0], **{"test/neg_elbo": test_losses}))


def test_speed_is_on_the_board_in_tokens_or_else_in_examples() -> None:
    speed = {"train/examples_per_s": [10.0, 20.0], "test/iw_perplexity": [99.0, 98.0]}
    images = leaderboard(trials_of([2.0, 1.0], **speed), sweep_row())
    assert list(images)[-4:] == ["test/iw_perplexity", "train/examples_per_s", "epochs", "duration_s"]
    text = leaderboard(trials_of([2.0, 1.0], **speed, **{"train/tokens_per_s": [100.0, 200.0]}), sweep_row())
    assert list(text)[-4:] == ["test/iw_perplexity", "train/tokens_per_s", "epochs", "duration_s"]
    asked = leaderboard(trials_of([2.0, 1.0], **speed, **{"train/tokens_per_s": [1.0, 2.0]}), sweep_row(), "train/examples_per_s")
    assert {"train/examples_per_s", "train/tokens_per_s"} <= set(asked)


def test_a_sweep_over_the_seed_alone_is_one_configuration() -> None:
    told = text(trials_of([88.0, 87.0, 89.0], seed=[0, 1, 2]), parameters=("seed",))
    assert "Trial 1 won (seed 1)" in told
    assert "These two differ only in their seed: the lead is chance, not a finding." in told
    assert "best/val/neg_elbo, mean ± standard deviation between seeds: 88 ± 1 over 3 seeds." in told
    assert "One seed each" not in told
    assert "NOT equal" not in told


def test_trials_that_differ_only_in_the_seed_are_replicates() -> None:
    """Trial 0 is the best of all, but on average its configuration is the worse."""
    trials = trials_of([80.0, 90.0, 82.0, 84.0], objective__beta=[0.1, 0.1, 0.5, 0.5], seed=[0, 1, 0, 1])
    told = text(trials, parameters=("objective.beta", "seed"))
    assert "Trial 0 won (beta 0.1, seed 0)" in told
    assert "compare their configurations by the means below" in told
    assert "between seeds: 83 ± 1.4 over 2 seeds for beta 0.5; 85 ± 7.1 over 2 seeds for beta 0.1." in told
    assert "Each configuration was trained with the same seeds, 0 and 1." in told
    assert "One seed each" not in told
    assert "NOT equal" not in told


def test_the_best_mean_is_the_largest_where_more_is_better() -> None:
    trials = trials_of([80.0, 90.0, 82.0, 84.0], objective__beta=[0.1, 0.1, 0.5, 0.5], seed=[0, 1, 0, 1])
    trials = trials.rename(columns={"best/val/neg_elbo": "best/val/active_units"})
    told = text(trials, parameters=("objective.beta", "seed"), metric="val/active_units", goal="maximize")
    assert "between seeds: 85 ± 7.1 over 2 seeds for beta 0.1; 83 ± 1.4 over 2 seeds for beta 0.5." in told


def test_of_many_replicated_configurations_the_best_four_are_told() -> None:
    trials = trials_of([float(k) for k in range(12)], objective__beta=[k // 2 for k in range(12)], seed=[0, 1] * 6)
    told = text(trials, parameters=("seed", "objective.beta"))
    assert told.count("over 2 seeds") == 4
    assert "6.5 ± 0.71 over 2 seeds for beta 3; and so on for 2 further configurations." in told


def test_equal_replicates_are_told_too() -> None:
    told = text(trials_of([87.0, 87.0], seed=[0, 1]), parameters=("seed",))
    assert "Trials 0 and 1 are equal" in told
    assert "87 ± 0 over 2 seeds." in told


def test_other_seeds_for_other_configurations_are_a_warning() -> None:
    trials = trials_of([80.0, 90.0, 82.0], objective__beta=[0.1, 0.1, 0.5], seed=[0, 1, 0])
    told = text(trials, parameters=("objective.beta", "seed"))
    assert "NOT equal, so beware: configurations were not all trained with the same seeds." in told


def test_the_same_seed_twice_is_no_replicate() -> None:
    told = text(trials_of([2.0, 1.0], objective__beta=[0.1, 0.1]))
    assert "One seed each" in told
    assert "±" not in told


def test_seeds_that_differ_though_none_was_searched_are_a_warning() -> None:
    told = text(trials_of([2.0, 1.0], objective__beta=[0.1, 0.1], seed=[0, 1]))
    assert "These two differ only in their seed" in told
    assert "1.5 ± 0.71 over 2 seeds for beta 0.1." in told
    assert "NOT equal, so beware: complete trials do not share the same seed: 0 in trial 0; 1 in trial 1." in told


def test_what_is_shared_is_told() -> None:
    assert "Both complete trials have the same data (d1), the same seed (0) and the same planned number of epochs (20)." in text(
        trials_of([2.0, 1.0])
    )


@pytest.mark.parametrize(
    ("columns", "warning"),
    [
        ({"data.fingerprint": ["d1", "d2", "d1"]}, "do not share the same data: d1 in trials 0 and 2; d2 in trial 1."),
        (
            {"training.epochs": [20, 30, 30]},
            "do not share the same planned number of epochs: 20 in trial 0; 30 in trials 1 and 2.",
        ),
        ({"training.patience": [3, 5, 3]}, "do not share the same patience: 3 in trials 0 and 2; 5 in trial 1."),
        ({"training.patience": [3, pd.NA, 3]}, "do not share the same patience: 3 in trials 0 and 2; none in trial 1."),
        ({"data.fingerprint": ["d1", None, "d1"]}, "do not share the same data: d1 in trials 0 and 2; unknown in trial 1."),
        ({"torch": ["2.9", "2.9", "2.13"]}, "do not share the same torch: 2.13 in trial 2; 2.9 in trials 0 and 1."),
    ],
)
def test_what_is_not_shared_is_a_warning(columns: dict[str, list[Any]], warning: str) -> None:
    told = text(trials_of([2.0, 1.0, 3.0], **columns))
    assert f"NOT equal, so beware: complete trials {warning}" in told


def test_only_complete_trials_need_to_share() -> None:
    told = text(trials_of([2.0, 1.0, 3.0], state=["COMPLETE", "COMPLETE", "PRUNED"], **{"data.fingerprint": ["d1", "d1", "d2"]}))
    assert "NOT equal" not in told
    assert "Only complete trials are ranked; pruned ones are listed apart." in told


@pytest.mark.parametrize(
    ("patience", "words"),
    [
        ({"training.patience": [3, 3, 3]}, "stopped early, by the same rule for all (patience 3), after 12 to 15 epochs."),
        ({"training.patience": [3, 5, 3]}, "stopped early, and not by one rule for all, after 12 to 15 epochs."),
        ({"training.patience": [pd.NA, 5, 5]}, "stopped early, and not by one rule for all, after 12 to 15 epochs."),
        ({"training.patience": [None, None, None]}, "stopped early, by a rule that is not recorded, after 12 to 15 epochs."),
        ({}, "stopped early, by a rule that is not recorded, after 12 to 15 epochs."),
    ],
)
def test_early_stopping_is_told(patience: dict[str, list[Any]], words: str) -> None:
    told = text(trials_of([2.0, 1.0, 3.0], epochs=[20, 12, 15], **patience))
    assert f"Trials 1 and 2 {words}" in told


def test_one_trial_that_stopped_early() -> None:
    assert "Trial 1 stopped early, by a rule that is not recorded, after 1 epoch." in text(trials_of([2.0, 1.0], epochs=[20, 1]))


def test_failures_are_told_with_their_reason() -> None:
    told = text(trials_of([2.0, 1.0], state=["COMPLETE", "FAILED"], reason=["", "NaN loss at step 31"]))
    assert "2 trials: 1 complete, 1 failed." in told
    assert "Trial 1 failed: NaN loss at step 31." in told


@pytest.mark.parametrize(
    ("state", "words"),
    [("RUNNING", "this is provisional"), ("INTERRUPTED", "not finished (interrupted, 2 of 12 planned trials)")],
)
def test_an_unfinished_sweep_is_called_so(state: str, words: str) -> None:
    assert words in text(trials_of([2.0, 1.0]), state=state)


def test_nothing_complete_nothing_won() -> None:
    assert "No trial is complete: there is nothing to rank." in text(trials_of([2.0], state=["PRUNED"]))
    assert text(trials_of([]).astype({"state": "str"})).startswith("0 trials.")
    assert "No complete trial has best/val/neg_elbo" in text(trials_of([math.nan, math.nan]))


def test_estimators_are_named_with_their_k() -> None:
    scores = {"test/iw_nll": [1.0, 2.0], "test/iw_nll_se": [0.1, 0.1], "test/neg_elbo": [1.0, 2.0]}
    told = text(trials_of([2.0, 1.0], **scores))
    assert "negative ELBO on validation, at beta 1" in told
    assert "importance-weighted bound with K = 50 on at most 500 test examples, ± one standard error over examples" in told
    told = text(
        trials_of([2.0, 1.0], evaluation__importance_examples=[None, None], evaluation__importance_samples=[50, 100], **scores)
    )
    assert "with K = 50 and 100 on all test examples" in told
    assert "NOT equal, so beware: K differs, so test/iw_nll cannot be compared between trials." in told


@pytest.mark.parametrize(("limits", "on"), [([100, 500], "at most 100 and at most 500"), ([500, None], "at most 500 and all")])
def test_unequal_importance_examples_are_a_warning(limits: list[int | None], on: str) -> None:
    columns: dict[str, list[Any]] = {"test/iw_nll": [1.0, 2.0], "evaluation.importance_examples": limits}
    told = text(trials_of([2.0, 1.0], **columns))
    assert f"with K = 50 on {on} test examples" in told
    assert "NOT equal, so beware: the number of test examples differs, so test/iw_nll cannot be compared" in told
    told = text(trials_of([2.0, 1.0], evaluation__importance_samples=[5, 50], **columns))
    assert "K and the number of test examples differ, so test/iw_nll cannot be compared" in told
    assert "NOT equal" not in text(trials_of([2.0, 1.0], **columns | {"evaluation.importance_examples": [500, 500]}))


def test_a_configuration_names_what_is_active() -> None:
    names = ["model.softmax.kind", "model.softmax.samples", "optimizer.lr"]
    row = pd.Series({"model.softmax.kind": "full", "model.softmax.samples": pd.NA, "optimizer.lr": 0.00123456})
    assert configuration(row, names) == "softmax full, lr 0.00123"
    assert configuration(row, []) == "no parameter set"
