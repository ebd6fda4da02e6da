"""The record of a large sweep that nobody trained: written straight into MLflow's tables, as many rows as a text sweep leaves."""

from __future__ import annotations

import contextlib
import json
import math
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

SWEEP = "large"
_STARTED_MS = 1_700_000_000_000
_PARAMETERS = ("optimizer.lr", "objective.beta", "objective.annealing.kind", "objective.annealing.warmup", "model.softmax.kind")
_FIXED = {f"model.part{place}.option": str(place) for place in range(55)}
"""A trial's flat config has some sixty names."""
_EPOCH = (
    *(f"train/{name}" for name in ("loss", "distortion", "rate", "beta", "lr", "examples_per_s", "tokens_per_s", "step")),
    *(f"val/{name}" for name in ("neg_elbo", "distortion", "rate", "perplexity", "active_units", "mutual_information")),
    "val/mutual_information_n",
    "val/softmax_gap",
)
_FINAL = (
    *(name.replace("val/", "best/val/") for name in _EPOCH if name.startswith("val/")),
    *(f"test/{name}" for name in ("neg_elbo", "distortion", "rate", "iw_nll", "iw_nll_se", "iw_perplexity")),
)
_PRUNED_AFTER = 10
_POINT = "(key, value, timestamp, step, run_uuid, is_nan) VALUES (?, ?, ?, ?, ?, 0)"


def record_of(home: Path, trials: int, epochs: int) -> Path:
    """The database of the home's record: one finished random sweep, written unless it is there.

    Every third trial was pruned after ten epochs; all others are complete.
    """
    file = home / "mlflow.db"
    if not file.exists():
        _write(home, trials, epochs)
    return file


def _write(home: Path, trials: int, epochs: int) -> None:
    from mlflow import MlflowClient

    home.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(f"sqlite:///{home.absolute()}/mlflow.db")
    experiment = client.create_experiment("vae-sweeps", str(home.absolute() / "artifacts"))
    tags = {
        "kind": "sweep",
        "sweep": SWEEP,
        "state": "FINISHED",
        "question": "What does a large sweep cost to look at?",
        "metric.name": "val/neg_elbo",
        "metric.goal": "minimize",
        "method": "random",
        "run_cap": str(trials),
        "parameters": json.dumps(_PARAMETERS),
    }
    parent = client.create_run(experiment, _STARTED_MS, tags, SWEEP).info.run_id
    client.set_terminated(parent, end_time=_STARTED_MS + 4_000 * trials)
    draw = random.Random(0)
    with contextlib.closing(sqlite3.connect(home / "mlflow.db")) as database, database:
        for number in range(trials):
            _write_trial(database, experiment, parent, number, epochs, draw)


def _write_trial(
    database: sqlite3.Connection, experiment: str, parent: str, number: int, epochs: int, draw: random.Random
) -> None:
    run_id, began = f"{number:032x}", _STARTED_MS + 1000 * number
    state = "PRUNED" if number % 3 == 2 else "COMPLETE"
    columns = "run_uuid, name, status, start_time, end_time, lifecycle_stage, artifact_uri, experiment_id, source_type, user_id"
    row = (run_id, f"{SWEEP}/{number}", "FINISHED", began, began + 8000, "active", f"/nowhere/{run_id}", experiment, "LOCAL", "")
    database.execute(f"INSERT INTO runs ({columns}) VALUES ({', '.join('?' * len(row))})", row)
    tags = {"kind": "trial", "mlflow.parentRunId": parent, "sweep": SWEEP, "trial.number": str(number), "trial.state": state}
    tags |= {"seed": "0", "git.commit": "abc", "data.fingerprint": "d", "torch": "2", "threads": "1", "duration_s": "8.0"}
    tags |= {"config.fingerprint": run_id, "mlflow.runName": f"{SWEEP}/{number}"}
    database.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", [(*tag, run_id) for tag in tags.items()])
    lr, beta = 10 ** draw.uniform(-4, -2), draw.uniform(0.1, 1.0)
    params = {
        "optimizer.lr": str(lr),
        "objective.beta": str(beta),
        "objective.annealing.kind": draw.choice(["constant", "linear"]),
        "model.softmax.kind": draw.choice(["full", "sampled", "adaptive"]),
        "training.epochs": str(epochs),
        "evaluation.importance_samples": "50",
        **_FIXED,
    }
    if params["objective.annealing.kind"] == "linear":
        params["objective.annealing.warmup"] = str(draw.uniform(0.1, 0.5))
    database.executemany(
        "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", [(*param, run_id) for param in params.items()]
    )
    done = epochs if state == "COMPLETE" else min(_PRUNED_AFTER, epochs)
    least, rate = 90.0 + 10.0 * abs(math.log10(lr) + 3.0) + draw.gauss(0.0, 1.0), 4.0 / (0.2 + beta)
    points = [
        (name, value, began + epoch, epoch)
        for epoch in range(1, done + 1)
        for name, value in _scores(_EPOCH, epoch, epochs, least, rate)
    ]
    final = list(_scores(_FINAL, done, epochs, least, rate)) if state == "COMPLETE" else []
    rows = [(*point, run_id) for point in [*points, *((name, value, began + 8000, done) for name, value in final)]]
    database.executemany(f"INSERT INTO metrics {_POINT}", rows)
    database.executemany(f"INSERT INTO latest_metrics {_POINT}", rows[-len(_EPOCH) - len(final) :])


def _scores(names: tuple[str, ...], epoch: int, epochs: int, least: float, rate: float) -> Iterator[tuple[str, float]]:
    fallen = least + 30.0 * math.exp(-5.0 * epoch / epochs)
    known = {"distortion": fallen - rate, "rate": rate, "beta": min(1.0, 4.0 * epoch / epochs), "step": 100.0 * epoch}
    known |= {"active_units": 8.0, "iw_nll_se": 0.3, "lr": 1e-3}
    for name in names:
        yield name, known.get(name.rpartition("/")[2], fallen)
