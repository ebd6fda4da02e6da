"""What is said to the tracker is in MLflow, once, whatever happens on the way."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from orchestration.messages import TrialState
from orchestration.tracking.note import NoteRow, sweep_note
from orchestration.tracking.records import MAX_PARAM, MAX_TAG, Records, quiet_mlflow
from orchestration.tracking.spool import pending_lines, rejected_path
from orchestration.tracking.tracker import SweepHeader, Tracker, replay_spool
from vae_core.config import TrialConfig

quiet_mlflow()
EPOCH_MS = 1_700_000_000_000
METRICS = ("train/loss", "train/step", "val/neg_elbo")
DEAD_SERVER = "http://127.0.0.1:9"  # the discard port: nobody listens
CONFIG = TrialConfig.from_dict(
    {
        "seed": 3,
        "data": {"kind": "digits"},
        "model": {"encoder": {"kind": "mlp"}, "decoder": {"kind": "mlp"}, "latent": {"kind": "gaussian", "size": 4}},
        "optimizer": {"kind": "adam", "lr": 1e-5},
    }
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a space in its path; each test takes a sweep name of its own."""
    return tmp_path_factory.mktemp("a home")


def uri_of(store: Path) -> str:
    return f"sqlite:///{store}/mlflow.db"


def header(name: str, question: str = "Why?") -> SweepHeader:
    return SweepHeader(name, question, "val/neg_elbo", "minimize", "tpe", 12, ["objective.beta"], f"name: {name}\n")


def opened(store: Path, name: str, uri: str | None = None) -> Tracker:
    tracker = Tracker(uri or uri_of(store), store / "artifacts", spool_of(store, name), header(name))
    tracker.open()
    return tracker


def spool_of(store: Path, name: str) -> Path:
    return store / "trials" / name / "spool.jsonl"


def start(tracker: Tracker, number: int = 0, **params: Any) -> None:
    flat = {**CONFIG.flat(), **params}
    tracker.trial_started(number, flat, CONFIG.fingerprint(), CONFIG.seed, {"git.commit": "abc", "data.fingerprint": "d1"})


def at(epoch: int) -> int:
    return EPOCH_MS + 1000 * epoch


def train(tracker: Tracker, number: int, epochs: range) -> None:
    for epoch in epochs:
        tracker.epoch(number, epoch, dict.fromkeys(METRICS, epoch + 0.1 * number), at(epoch))


def client(store: Path, uri: str | None = None) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri or uri_of(store))


def runs(store: Path, name: str, kind: str = "trial", uri: str | None = None) -> list[Any]:
    api = client(store, uri)
    experiment = api.get_experiment_by_name("vae-sweeps")
    return list(api.search_runs([experiment.experiment_id], f"tags.sweep = '{name}' and tags.kind = '{kind}'"))


def history(store: Path, run: Any, metric: str, uri: str | None = None) -> list[tuple[int, float, int]]:
    points = client(store, uri).get_metric_history(run.info.run_id, metric)
    return sorted((point.step, point.value, point.timestamp) for point in points)


def assert_whole(store: Path, name: str, trials: int, epochs: int, uri: str | None = None) -> None:
    """Exactly these runs, and of each metric exactly one point an epoch."""
    found = {int(run.data.tags["trial.number"]): run for run in runs(store, name, uri=uri)}
    assert len(runs(store, name, uri=uri)) == len(found) == trials
    assert len(runs(store, name, "sweep", uri=uri)) == 1
    for number, run in found.items():
        for metric in METRICS:
            expected = [(epoch, epoch + 0.1 * number, at(epoch)) for epoch in range(1, epochs + 1)]
            assert history(store, run, metric, uri) == expected
        assert run.info.status == "FINISHED"


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


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


def test_a_lost_answer_doubles_no_run(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store makes the run, but the word of it does not arrive."""
    from mlflow import MlflowClient

    real = MlflowClient.create_run
    lost: list[Any] = []

    def create_run(self: MlflowClient, *args: Any, **kwargs: Any) -> Any:
        run = real(self, *args, **kwargs)
        if len(lost) < 2:
            lost.append(run)
            raise ConnectionResetError("the answer was lost")
        return run

    monkeypatch.setattr(MlflowClient, "create_run", create_run)
    tracker = opened(store, "lost")
    start(tracker)
    train(tracker, 0, range(1, 3))
    tracker.trial_ended(0, "COMPLETE", "", None, 1.0)
    assert tracker.close() == 0
    assert len(lost) == 2
    assert_whole(store, "lost", trials=1, epochs=2)


def test_an_absent_server_keeps_nobody_waiting_and_nothing_is_lost(store: Path) -> None:
    before = threading.active_count()
    tracker = opened(store, "away", DEAD_SERVER)
    started = time.monotonic()
    for number in range(3):
        start(tracker, number)
        train(tracker, number, range(1, 6))
        tracker.trial_ended(number, "COMPLETE", "", None, 1.0)
    tracker.closed("FINISHED", 1.0)
    assert time.monotonic() - started < 1.0
    until(lambda: tracker.trouble is not None)
    assert "MLflow does not take records" in (tracker.trouble or "")
    started = time.monotonic()
    assert tracker.close(timeout=1.0) == 23
    assert time.monotonic() - started < 5.0
    assert threading.active_count() == before
    assert pending_lines(spool_of(store, "away")) == 23

    assert replay_spool(DEAD_SERVER, store / "artifacts", spool_of(store, "away"), timeout=0.5) == 23
    assert replay_spool(uri_of(store), store / "artifacts", spool_of(store, "away")) == 0
    assert_whole(store, "away", trials=3, epochs=5)
    assert spool_of(store, "away").read_bytes() == b""


def _sweep_until_killed(store: Path, name: str, trials: int, epochs: int) -> None:
    tracker = opened(store, name)
    for number in range(trials):
        start(tracker, number)
        train(tracker, number, range(1, epochs + 1))
        tracker.trial_ended(number, "COMPLETE", "", None, 1.0)
    tracker.closed("FINISHED", 1.0)
    total = tracker.pending
    while tracker.pending > total // 2:
        time.sleep(0.005)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("offset_lost", [False, True])
def test_a_killed_process_loses_and_doubles_nothing(store: Path, offset_lost: bool) -> None:
    name = f"killed-{offset_lost}"
    child = multiprocessing.get_context("spawn").Process(target=_sweep_until_killed, args=(store, name, 5, 8))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    spool = spool_of(store, name)
    assert 0 < pending_lines(spool) <= 5 * 10
    if offset_lost:
        spool.with_suffix(".sent").unlink()
    with spool.open("a") as file:
        file.write('{"op": "epoch", "sweep": "killed", "torn')
    assert replay_spool(uri_of(store), store / "artifacts", spool) == 0
    assert_whole(store, name, trials=5, epochs=8)
    assert not rejected_path(spool).exists()


def test_an_open_tracker_sends_first_what_an_earlier_process_left(store: Path) -> None:
    away = opened(store, "leftover", DEAD_SERVER)
    start(away)
    train(away, 0, range(1, 3))
    assert away.close(timeout=0.2) > 0
    tracker = opened(store, "leftover")
    start(tracker)
    train(tracker, 0, range(1, 5))
    tracker.trial_ended(0, "COMPLETE", "", None, 1.0)
    assert tracker.close() == 0
    assert_whole(store, "leftover", trials=1, epochs=4)


def test_there_is_nothing_to_replay_where_no_spool_is(tmp_path: Path) -> None:
    assert replay_spool(DEAD_SERVER, tmp_path, tmp_path / "none" / "spool.jsonl") == 0
    assert list(tmp_path.iterdir()) == []


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


def test_mlflow_is_told_to_be_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "another program's")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    quiet_mlflow()
    assert "MLFLOW_RUN_ID" not in os.environ
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"


@pytest.mark.slow
def test_a_hundred_trials_do_not_keep_the_caller(store: Path) -> None:
    tracker = opened(store, "hundred")
    until(lambda: tracker.pending == 0)
    started, longest = time.monotonic(), 0.0
    for number in range(100):
        before = time.monotonic()
        start(tracker, number)
        train(tracker, number, range(1, 21))
        tracker.trial_ended(number, "COMPLETE", "", None, 1.0)
        longest = max(longest, (time.monotonic() - before) / 22)
    assert longest < 0.05  # a call; what it costs is a line in a file and its share of the interpreter
    assert tracker.close(timeout=120.0) == 0
    assert time.monotonic() - started < 120.0  # 15 s on an idle disk; a search for each trial would take longer than this
    assert len(runs(store, "hundred")) == 100


class RealServer:
    """``mlflow server`` on a port of its own, started and killed at will."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        import sys
        import urllib.request

        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{self._directory}/server.db"]
        command += ["--artifacts-destination", str(self._directory / "served")]
        self._process = subprocess.Popen(
            command,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            cwd=self._directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

        def answers() -> bool:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=1):
                    return True
            except OSError:
                return False

        until(answers, 90)

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.mark.slow
def test_a_server_that_is_away_at_the_start_and_dies_in_the_middle(tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    artifacts.mkdir()
    (artifacts / "samples.txt").write_text("a sample")
    server = RealServer(tmp_path)
    tracker = opened(tmp_path, "faults", server.url)
    try:
        start(tracker, 0)
        train(tracker, 0, range(1, 4))
        until(lambda: tracker.trouble is not None)
        server.start()
        until(lambda: tracker.pending == 0, 60)
        assert tracker.trouble is None
        for number in (1, 2):
            start(tracker, number)
        killer = threading.Timer(0.3, server.kill)
        killer.start()
        for epoch in range(1, 41):
            for number in (1, 2):
                train(tracker, number, range(epoch, epoch + 1))
            time.sleep(0.02)
        killer.join()
        until(lambda: tracker.trouble is not None)
        train(tracker, 0, range(4, 41))
        server.start()
        for number in range(3):
            tracker.trial_ended(number, "COMPLETE", "", artifacts, 1.0)
        tracker.closed("FINISHED", 1.0)
        assert tracker.close(timeout=90) == 0
        assert tracker.rejected == 0
        assert_whole(tmp_path, "faults", trials=3, epochs=40, uri=server.url)
        (run, *_) = runs(tmp_path, "faults", uri=server.url)
        files = {item.path for item in client(tmp_path, server.url).list_artifacts(run.info.run_id)}
        assert files == {"config.yaml", "samples.txt"}
    finally:
        server.kill()
