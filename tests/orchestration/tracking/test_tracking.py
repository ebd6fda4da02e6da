"""What is said to the tracker is in MLflow, once."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from orchestration.messages import TrialState
from orchestration.tracking.mlflow_limits import MAX_PARAM, MAX_TAG
from orchestration.tracking.model_files import write_model_files
from orchestration.tracking.note import NoteRow, sweep_note
from orchestration.tracking.outage import quiet_mlflow
from orchestration.tracking.spool import rejected_path
from tests.orchestration.tracking.recording import (
    CONFIG,
    DEAD_SERVER,
    assert_whole,
    at,
    client,
    history,
    opened,
    runs,
    spool_of,
    start,
    train,
    until,
)
from vae_core.config import TrialConfig


def test_the_life_of_a_trial(store: Path, tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    (artifacts / "checkpoint").mkdir(parents=True)
    (artifacts / "checkpoint" / "weights.safetensors").write_bytes(b"weights")
    tracker = opened(store, "life")
    start(tracker)
    train(tracker, 0, range(1, 4))
    tracker.epoch(0, 3, {"best/val/neg_elbo": 1.5}, at(4))
    tracker.trial_ended(0, "COMPLETE", "all epochs", artifacts, 1.0)
    tracker.closed("FINISHED", 1.0)
    assert tracker.close() == 0

    (run,) = runs(store, "life")
    (parent,) = runs(store, "life", "sweep")
    assert run.info.run_name == "life/000"
    assert run.info.status == "FINISHED"
    expected = {
        "mlflow.parentRunId": parent.info.run_id,
        "trial.number": "0",
        "trial.state": "COMPLETE",
        "trial.reason": "all epochs",
        "seed": "3",
        "config.fingerprint": CONFIG.fingerprint(),
        "data.fingerprint": "d1",
        "git.commit": "abc",
        "epochs": "10",
    }
    assert expected.items() <= run.data.tags.items()
    assert run.data.params["optimizer.lr"] == "1e-05"
    assert run.data.params["optimizer.betas"] == "[0.9, 0.999]"
    assert run.data.params["training.patience"] == "null"
    assert run.data.params["data.kind"] == "digits"
    assert set(run.data.params) == set(CONFIG.flat())
    assert history(store, run, "val/neg_elbo") == [(epoch, float(epoch), at(epoch)) for epoch in (1, 2, 3)]
    assert run.data.metrics["best/val/neg_elbo"] == 1.5

    place = Path(run.info.artifact_uri.removeprefix("file://"))
    assert place.is_relative_to(store / "artifacts")
    assert (place / "checkpoint" / "weights.safetensors").read_bytes() == b"weights"
    config = YAML(typ="safe", pure=True).load((place / "config.yaml").read_text())
    assert TrialConfig.from_dict(config).fingerprint() == CONFIG.fingerprint()


@pytest.mark.parametrize("later", [False, True])
def test_who_reads_that_a_trial_is_complete_finds_all_of_it(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: bool
) -> None:
    from mlflow import MlflowClient

    (tmp_path / "samples.txt").write_text("a sample")
    name = f"order-{later}"
    seen: set[tuple[Any, ...]] = set()

    def look(own: Any) -> Any:
        def method(self: MlflowClient, *arguments: Any, **options: Any) -> Any:
            done = own(self, *arguments, **options)
            for run in runs(store, name):
                if run.data.tags["trial.state"] == "COMPLETE":
                    files = [item.path for item in client(store).list_artifacts(run.info.run_id)]
                    seen.add((run.data.metrics.get("best/val/neg_elbo"), *files))
            return done

        return method

    tracker = opened(store, name)
    start(tracker)
    if later:
        until(lambda: tracker.pending == 0)
    for method in ("create_run", "log_batch", "set_terminated"):
        monkeypatch.setattr(MlflowClient, method, look(getattr(MlflowClient, method)))
    train(tracker, 0, range(1, 300))
    tracker.epoch(0, 299, {"best/val/neg_elbo": 1.5}, at(4))
    tracker.trial_ended(0, "COMPLETE", "", tmp_path, 1.0)
    assert tracker.close() == 0
    assert seen == {(1.5, "config.yaml", "samples.txt")}


@pytest.mark.parametrize("shape", ["{cut", "3", '"x"'])
def test_a_checkpoint_that_cannot_be_described_is_kept(store: Path, tmp_path: Path, shape: str) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "weights.safetensors").write_bytes(b"weights")
    (tmp_path / "checkpoint" / "shape.json").write_text(shape)
    tracker = opened(store, f"shape{len(shape)}")
    start(tracker)
    tracker.trial_ended(0, "COMPLETE", "", tmp_path, 1.0)
    assert tracker.close() == tracker.rejected == 0
    (run,) = runs(store, f"shape{len(shape)}")
    assert run.data.tags["trial.state"] == "COMPLETE"
    assert "shape.json" in run.data.tags["model.undescribed"]
    files = {item.path for item in client(store).list_artifacts(run.info.run_id, "checkpoint")}
    assert files == {"checkpoint/weights.safetensors", "checkpoint/shape.json"}


def test_a_model_is_described_where_the_project_is_a_copy_of_its_source(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.metadata import PackageNotFoundError, version

    def found(name: str) -> str:
        if name == "vae-sweeps":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr("orchestration.tracking.model_files.version", found)
    (tmp_path / "weights.safetensors").write_bytes(b"weights")
    assert write_model_files(tmp_path, "run", tmp_path / "model") is not None
    required = (tmp_path / "model" / "requirements.txt").read_text()
    assert "torch==" in required
    assert "vae-sweeps" not in required


def test_the_sweeps_run(store: Path) -> None:
    tracker = opened(store, "parent")
    start(tracker, 4)
    tracker.trial_ended(4, "COMPLETE", "", None, 1.0)
    row = NoteRow(4, "COMPLETE", 1.25, {"objective.beta": 0.5}, epochs=10)
    tracker.note(sweep_note("parent", "Why?", "FINISHED", "val/neg_elbo", "minimize", 1, [row]))
    tracker.closed("FINISHED", 1.0)
    assert tracker.close() == 0
    (parent,) = runs(store, "parent", "sweep")
    (run,) = runs(store, "parent")
    tags = parent.data.tags
    assert parent.info.run_name == "parent"
    assert parent.info.status == "FINISHED"
    assert (tags["state"], tags["question"], tags["metric.name"], tags["metric.goal"]) == (
        "FINISHED",
        "Why?",
        "val/neg_elbo",
        "minimize",
    )
    assert (tags["method"], tags["run_cap"], tags["parameters"]) == ("tpe", "12", '["objective.beta"]')
    assert (Path(parent.info.artifact_uri.removeprefix("file://")) / "sweep.yaml").read_text() == "name: parent\n"
    note = tags["mlflow.note.content"]
    assert f"(#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}?workflowType=machine_learning)" in note
    assert "| 1.25&emsp; | 0.5&emsp; |" in note


@pytest.mark.parametrize(
    ("state", "status"),
    [("COMPLETE", "FINISHED"), ("PRUNED", "FINISHED"), ("COLLAPSED", "FINISHED"), ("FAILED", "FAILED"), ("STOPPED", "KILLED")],
)
def test_how_a_trial_ends(store: Path, state: TrialState, status: str) -> None:
    name = f"ends-{state}"
    tracker = opened(store, name)
    start(tracker)
    tracker.trial_ended(0, state, "because", None, 1.0)
    assert tracker.close() == 0
    (run,) = runs(store, name)
    assert (run.data.tags["trial.state"], run.data.tags["trial.reason"], run.info.status) == (state, "because", status)


@pytest.mark.parametrize(("value", "shown"), [(math.inf, "inf"), (-math.inf, "-inf"), (math.nan, "nan")])
def test_a_value_that_is_not_finite_is_a_tag_and_no_point(store: Path, value: float, shown: str) -> None:
    name = f"nonfinite{shown}"
    tracker = opened(store, name)
    start(tracker)
    tracker.epoch(0, 1, {"train/loss": 1.0, "val/neg_elbo": 2.0}, at(1))
    tracker.epoch(0, 2, {"train/loss": value, "val/neg_elbo": 1.0}, at(2))
    assert tracker.close() == 0
    (run,) = runs(store, name)
    assert history(store, run, "train/loss") == [(1, 1.0, at(1))]
    assert [step for step, _, _ in history(store, run, "val/neg_elbo")] == [1, 2]
    assert run.data.tags["nonfinite.train/loss"] == f"{shown} at epoch 2"
    assert "nonfinite.val/neg_elbo" not in run.data.tags


def test_what_is_too_long_is_cut_visibly_and_what_is_too_much_is_split(store: Path) -> None:
    tracker = opened(store, "long")
    start(tracker, long="x" * 7000, **{f"p{i:03d}": i for i in range(250)})
    tracker.trial_ended(0, "FAILED", "y" * 9000, None, 1.0)
    tracker.note("z" * 9000)
    assert tracker.close() == 0
    assert tracker.rejected == 0
    (run,) = runs(store, "long")
    (parent,) = runs(store, "long", "sweep")
    assert run.data.params["long"] == "x" * (MAX_PARAM - 1) + "…"
    assert run.data.tags["trial.reason"] == "y" * (MAX_TAG - 1) + "…"
    assert parent.data.tags["mlflow.note.content"] == "z" * (MAX_TAG - 1) + "…"
    assert sum(name.startswith("p") and name[1:].isdigit() for name in run.data.params) == 250


def test_what_mlflow_refuses_is_kept_aside_and_holds_nothing_up(store: Path) -> None:
    tracker = opened(store, "refused")
    start(tracker)
    tracker.epoch(0, 1, {"no such*name?": 1.0}, at(1))
    train(tracker, 0, range(1, 3))
    tracker.trial_ended(0, "COMPLETE", "", None, 1.0)
    assert tracker.close() == 0
    assert tracker.rejected == 1
    (kept,) = rejected_path(spool_of(store, "refused")).read_text().splitlines()
    assert "no such*name?" in json.loads(kept)["entry"]
    assert "Invalid" in json.loads(kept)["error"]
    assert_whole(store, "refused", trials=1, epochs=2)


def test_a_trial_without_artifacts_is_no_trouble_but_ones_that_vanish_are(store: Path, tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    artifacts.mkdir()
    away = opened(store, "artifacts", DEAD_SERVER)
    start(away, 0)
    away.trial_ended(0, "PRUNED", "", tmp_path / "never made", 1.0)
    start(away, 1)
    away.trial_ended(1, "COMPLETE", "", artifacts, 1.0)
    away.close(timeout=0.2)
    artifacts.rmdir()
    tracker = opened(store, "artifacts")
    assert tracker.close() == 0
    assert tracker.rejected == 1
    assert "are gone" in rejected_path(spool_of(store, "artifacts")).read_text()
    assert sorted(run.info.status for run in runs(store, "artifacts")) == ["FINISHED", "FINISHED"]


def test_mlflow_is_told_to_be_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "another program's")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    quiet_mlflow()
    assert "MLFLOW_RUN_ID" not in os.environ
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
