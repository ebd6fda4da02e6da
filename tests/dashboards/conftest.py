"""MLflow records as a sweep leaves them, written by MLflow's own client and by nothing of the project."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest


class Writer:
    """Writes sweeps, trials and epochs into the ``mlflow.db`` of one home, with times that the tests know."""

    started = 1_700_000_000_000
    """Milliseconds: when the first sweep and every trial start (a further sweep: an hour later). A trial ``n`` takes
    ``10 (n + 1)`` seconds, a sweep 90.5."""

    def __init__(self, home: Path) -> None:
        from mlflow import MlflowClient

        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.sweeps = 0
        self.uri = f"sqlite:///{home}/mlflow.db"
        self.client = MlflowClient(tracking_uri=self.uri)

    def experiment(self) -> str:
        found = self.client.get_experiment_by_name("vae-sweeps")
        return str(found.experiment_id) if found else self.client.create_experiment("vae-sweeps", str(self.home / "artifacts"))

    def sweep(self, name: str, parameters: list[str], *, state: str = "FINISHED", **tags: str) -> str:
        """The run id of a new sweep; ``tags`` with ``_`` for ``.``."""
        described = {
            "kind": "sweep",
            "sweep": name,
            "state": state,
            "question": "Which one?",
            "metric.name": "val/neg_elbo",
            "metric.goal": "minimize",
            "method": "random",
            "run_cap": "12",
            "parameters": json.dumps(parameters),
        }
        described |= {key.replace("_", ".", 1) if key.startswith("metric") else key: value for key, value in tags.items()}
        start = self.started + 3_600_000 * self.sweeps
        self.sweeps += 1
        run = self.client.create_run(self.experiment(), start_time=start, tags=described, run_name=name)
        if state != "RUNNING":
            self.client.set_terminated(run.info.run_id, end_time=start + 90_500)
        return str(run.info.run_id)

    def trial(
        self,
        parent: str,
        number: int,
        params: dict[str, str],
        epochs: list[dict[str, float]] | None = None,
        final: dict[str, float] | None = None,
        *,
        state: str = "COMPLETE",
        reason: str = "",
        tags: dict[str, str] | None = None,
        without: tuple[str, ...] = (),
    ) -> str:
        """The run id of a new trial: one batch an epoch (``train/step`` is 100 an epoch), and one at the end."""
        from mlflow.entities import Param

        described = {
            "kind": "trial",
            "mlflow.parentRunId": parent,
            "sweep": "whatever",
            "trial.number": str(number),
            "trial.state": state,
            "seed": "0",
            "config.fingerprint": f"c{number}",
            "data.fingerprint": "d1",
            "git.commit": "abc",
            "threads": "1",
            "torch": "2.13.0",
        }
        described |= ({"trial.reason": reason} if reason else {}) | (tags or {})
        described = {name: value for name, value in described.items() if name not in without}
        run_id = self.client.create_run(self.experiment(), start_time=self.started, tags=described).info.run_id
        flat = {"training.epochs": "3", "evaluation.importance_samples": "50", "evaluation.importance_examples": "500"} | params
        self.client.log_batch(run_id, params=[Param(key, value) for key, value in flat.items()])
        for epoch, metrics in enumerate(epochs or [], start=1):
            self.log(run_id, epoch, {"train/step": 100 * epoch, **metrics}, at=epoch)
        if final:
            self.log(run_id, len(epochs or []), final, at=1000)
        if state != "RUNNING":
            status = {"FAILED": "FAILED", "STOPPED": "KILLED"}.get(state, "FINISHED")
            self.client.set_terminated(run_id, status, end_time=self.started + 10_000 * (number + 1))
        return str(run_id)

    def log(self, run_id: str, epoch: int, metrics: dict[str, float], at: int) -> None:
        from mlflow.entities import Metric

        self.client.log_batch(run_id, metrics=[Metric(key, value, self.started + at, epoch) for key, value in metrics.items()])


@pytest.fixture(scope="session")
def _tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose database has MLflow's tables and no experiment of ours; making them takes seconds."""
    home = tmp_path_factory.mktemp("tables")
    Writer(home)
    return home


@pytest.fixture
def writer(_tables: Path, tmp_path: Path) -> Writer:
    """A writer into a fresh home."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(_tables / "mlflow.db", home)
    return Writer(home)


@pytest.fixture(autouse=True)
def _forget_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VAE_SWEEPS_HOME", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)


def text_trial(loss: float, **more: float) -> dict[str, Any]:
    """``epochs`` and ``final`` of a trial of three epochs whose best negative ELBO is ``loss``, at epoch 2."""
    losses = [loss + 2, loss, loss + 1]
    return {
        "epochs": [{"val/neg_elbo": value, "val/rate": 3.0 + k, "train/loss": value / 2} for k, value in enumerate(losses)],
        "final": {
            "best/epoch": 2,
            "best/val/neg_elbo": loss,
            "best/val/rate": 4.0,
            "best/val/active_units": 7,
            "best/val/perplexity": 120.25,
            "test/neg_elbo": loss + 0.5,
            "test/iw_nll": loss - 1,
            "test/iw_nll_se": 0.25,
            **more,
        },
    }


SEARCHED = ["objective.beta", "model.softmax.kind", "model.softmax.samples", "model.softmax.cutoffs", "optimizer.lr"]


@pytest.fixture
def softmax(writer: Writer) -> Writer:
    """The sweep ``softmax``: trial 2 is best, 0 follows, 1 is pruned, 3 failed, 4 still runs."""
    parent = writer.sweep("softmax", SEARCHED, state="RUNNING", question="Which softmax?")
    full = {"objective.beta": "0.5", "model.softmax.kind": "full", "optimizer.lr": "1e-05"}
    sampled = {"objective.beta": "1", "model.softmax.kind": "sampled", "model.softmax.samples": "1024", "optimizer.lr": "0.001"}
    adaptive = {"objective.beta": "1.0", "model.softmax.kind": "adaptive", "model.softmax.cutoffs": "[2000, 10000]"}
    writer.trial(parent, 2, sampled, **text_trial(87.125))
    writer.trial(parent, 0, full, **text_trial(88.5))
    writer.trial(parent, 1, adaptive | {"optimizer.lr": "null"}, epochs=[{"val/neg_elbo": 80.0}], state="PRUNED")
    writer.trial(parent, 3, full, state="FAILED", reason="NaN loss at step 31")
    writer.trial(parent, 4, full, epochs=[{"val/neg_elbo": 99.0}, {"val/neg_elbo": 98.0}], state="RUNNING")
    return writer
