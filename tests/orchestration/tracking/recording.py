"""What the tests of the tracker say to it, and how they read what came of it, by MLflow's own client."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestration.tracking.outage import quiet_mlflow
from orchestration.tracking.sender import Sender, SenderThread
from orchestration.tracking.tracker import SweepHeader, Tracker
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


def uri_of(store: Path) -> str:
    return f"sqlite:///{store}/mlflow.db"


def header(name: str, question: str = "Why?") -> SweepHeader:
    return SweepHeader(name, question, "val/neg_elbo", "minimize", "tpe", 12, ["objective.beta"], f"name: {name}\n")


def opened(store: Path, name: str, uri: str | None = None, sender: Callable[[str, Path], Sender] = SenderThread) -> Tracker:
    tracker = Tracker(uri or uri_of(store), store / "artifacts", spool_of(store, name), header(name), sender)
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
