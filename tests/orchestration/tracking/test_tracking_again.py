"""Said again by a second attempt, or into a store that another has changed: still once, in the same runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestration.tracking.records import Records
from tests.orchestration.tracking.recording import (
    METRICS,
    assert_whole,
    at,
    client,
    history,
    opened,
    runs,
    start,
    train,
    until,
    uri_of,
)


def test_a_trial_that_dies_before_it_starts_has_a_run(store: Path) -> None:
    tracker = opened(store, "stillborn")
    tracker.trial_ended(2, "FAILED", "the worker died", None, 1.0)
    assert tracker.close() == 0
    (run,) = runs(store, "stillborn")
    assert (run.data.tags["trial.number"], run.info.status) == ("2", "FAILED")
    again = opened(store, "stillborn")
    start(again, 2)
    assert again.close() == 0
    (run,) = runs(store, "stillborn")
    assert (run.data.tags["seed"], run.info.status) == ("3", "RUNNING")


def test_a_second_attempt_goes_on_with_the_first_ones_run(store: Path) -> None:
    tracker = opened(store, "again")
    start(tracker)
    train(tracker, 0, range(1, 4))
    tracker.trial_ended(0, "STOPPED", "interrupted", None, 1.0)
    tracker.closed("INTERRUPTED", 1.0)
    assert tracker.close() == 0
    (parent,) = runs(store, "again", "sweep")
    assert (parent.info.status, parent.data.tags["state"]) == ("KILLED", "INTERRUPTED")

    again = opened(store, "again")
    start(again)
    until(lambda: again.pending == 0)
    (run,) = runs(store, "again")
    assert (run.info.status, run.data.tags["trial.state"], run.data.tags["trial.reason"]) == ("RUNNING", "RUNNING", "")
    (parent,) = runs(store, "again", "sweep")
    assert (parent.info.status, parent.data.tags["state"]) == ("RUNNING", "RUNNING")
    for epoch in range(1, 5):  # said again at other times; epoch 4 is new
        again.epoch(0, epoch, dict.fromkeys(METRICS, float(epoch)), at(epoch) + 777)
    again.epoch(0, 3, {"val/neg_elbo": 2.5}, at(9))  # a value that differs is no repetition
    again.trial_ended(0, "COMPLETE", "", None, 1.0)
    again.closed("FINISHED", 1.0)
    assert again.close() == 0
    (run,) = runs(store, "again")
    assert history(store, run, "train/loss") == [*((e, float(e), at(e)) for e in (1, 2, 3)), (4, 4.0, at(4) + 777)]
    assert [value for _, value, _ in history(store, run, "val/neg_elbo")] == [1.0, 2.0, 2.5, 3.0, 4.0]
    assert run.info.status == "FINISHED"


def test_a_second_attempt_within_one_process(store: Path) -> None:
    """A worker dies, another goes on from the checkpoint and tells the whole story again."""
    tracker = opened(store, "retold")
    for attempt in range(2):
        start(tracker)
        for epoch in (1, 2):
            tracker.epoch(0, epoch, dict.fromkeys(METRICS, float(epoch)), at(epoch) + attempt)
    tracker.trial_ended(0, "COMPLETE", "", None, 1.0)
    assert tracker.close() == 0
    assert_whole(store, "retold", trials=1, epochs=2)


def test_the_same_number_under_another_seed_is_another_trial(store: Path) -> None:
    tracker = opened(store, "seeds")
    for seed in (1, 2):
        tracker.trial_started(0, {}, "f", seed, {})
        tracker.epoch(0, 1, {"train/loss": float(seed)}, at(1))
    assert tracker.close() == 0
    assert {run.data.tags["seed"]: run.data.metrics["train/loss"] for run in runs(store, "seeds")} == {"1": 1.0, "2": 2.0}


def test_a_changed_parameter_is_named_and_spoils_nothing(store: Path) -> None:
    tracker = opened(store, "changed")
    start(tracker)
    start(tracker, **{"training.epochs": 99, "later.field": 1})
    train(tracker, 0, range(1, 2))
    tracker.trial_ended(0, "COMPLETE", "", None, 1.0)
    assert tracker.close() == 0
    assert tracker.rejected == 0
    (run,) = runs(store, "changed")
    assert run.data.params["training.epochs"] == "10"
    assert run.data.params["later.field"] == "1"
    assert run.data.tags["params.changed"] == "training.epochs"
    assert_whole(store, "changed", trials=1, epochs=1)


def test_a_run_deleted_by_hand_does_not_stop_the_rest(store: Path) -> None:
    tracker = opened(store, "deleted")
    for number in (0, 1):
        start(tracker, number)
    until(lambda: tracker.pending == 0)
    client(store).delete_run(next(run for run in runs(store, "deleted") if run.data.tags["trial.number"] == "0").info.run_id)
    for number in (0, 1):
        train(tracker, number, range(1, 3))
        tracker.trial_ended(number, "COMPLETE", "", None, 1.0)
    assert tracker.close() == 0
    assert tracker.rejected == 0
    assert_whole(store, "deleted", trials=2, epochs=2)


def test_a_deleted_experiment_is_restored(tmp_path: Path) -> None:
    for attempt in range(2):
        tracker = opened(tmp_path, f"sweep{attempt}")
        assert tracker.close() == 0
        api = client(tmp_path)
        experiment = api.get_experiment_by_name("vae-sweeps")
        assert experiment.lifecycle_stage == "active"
        assert experiment.artifact_location == str(tmp_path / "artifacts")
        api.delete_experiment(experiment.experiment_id)


def test_many_pages_of_runs_are_found_again(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    tracker = opened(store, "pages")
    for number in range(5):
        start(tracker, number)
    assert tracker.close() == 0
    real = MlflowClient.search_runs

    def two_at_once(self: MlflowClient, *args: Any, max_results: int, **kwargs: Any) -> Any:
        return real(self, *args, max_results=2, **kwargs)

    monkeypatch.setattr(MlflowClient, "search_runs", two_at_once)
    known = Records(uri_of(store), store / "artifacts")._sweep("pages")
    assert sorted(known.trials) == [(number, 3) for number in range(5)]
    assert known.parent is not None
