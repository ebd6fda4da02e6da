"""What reading a large sweep costs: the frames and the reports at thousands of trials, in CPU seconds and memory.

    python -m benchmarks.reading [--trials 2000] [--epochs 100] [--home DIR]

The record is written straight into MLflow's tables, with the names and numbers of rows that a text sweep leaves; what reads it is
the project. Each figure is of a process of its own, with its start and imports. ``--home`` keeps the record, or uses it again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import platform
import random
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tabulate import tabulate

SWEEP = "large"
STARTED_MS = 1_700_000_000_000
PARAMETERS = ("optimizer.lr", "objective.beta", "objective.annealing.kind", "objective.annealing.warmup", "model.softmax.kind")
FIXED = {f"model.part{place}.option": str(place) for place in range(55)}
"""A trial's flat config has some sixty names."""
EPOCH = (
    *(f"train/{name}" for name in ("loss", "distortion", "rate", "beta", "lr", "examples_per_s", "tokens_per_s", "step")),
    *(f"val/{name}" for name in ("neg_elbo", "distortion", "rate", "perplexity", "active_units", "mutual_information")),
    "val/mutual_information_n",
    "val/softmax_gap",
)
FINAL = (
    *(name.replace("val/", "best/val/") for name in EPOCH if name.startswith("val/")),
    *(f"test/{name}" for name in ("neg_elbo", "distortion", "rate", "iw_nll", "iw_nll_se", "iw_perplexity")),
)
READERS = {
    "load_sweeps()": "from dashboards import load_sweeps; load_sweeps(home=HOME)",
    "load_trials(name)": "from dashboards import load_trials; load_trials(NAME, home=HOME)",
    "load_curves(name)": "from dashboards import load_curves; load_curves(NAME, home=HOME)",
    **{
        f"report name --format {format}": "from orchestration.cli import main; import sys;"
        f" sys.argv = ['vae-sweeps', 'report', NAME, '--home', HOME, '--format', '{format}', '--output', '/dev/null']; main()"
        for format in ("table", "parquet", "html")
    },
}
MEASURE = """
import atexit, resource, sys
NAME, HOME = sys.argv[1:]

def tell():
    used = resource.getrusage(resource.RUSAGE_SELF)
    print("measured", used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, file=sys.stderr)

atexit.register(tell)  # a command ends the process itself
{code}
"""


def write_sweep(home: Path, trials: int, epochs: int) -> None:
    """A home with one finished random sweep of so many complete trials; every seventh was pruned at a third of its epochs."""
    from mlflow import MlflowClient

    home.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(f"sqlite:///{home}/mlflow.db")
    experiment = client.create_experiment("vae-sweeps", str(home / "artifacts"))
    tags = {
        "kind": "sweep",
        "sweep": SWEEP,
        "state": "FINISHED",
        "question": "How fast is it read?",
        "metric.name": "val/neg_elbo",
        "metric.goal": "minimize",
        "method": "random",
        "run_cap": str(trials),
        "parameters": json.dumps(PARAMETERS),
    }
    parent = client.create_run(experiment, STARTED_MS, tags, SWEEP).info.run_id
    client.set_terminated(parent, end_time=STARTED_MS + 4_000 * trials)
    draw = random.Random(0)
    with contextlib.closing(sqlite3.connect(home / "mlflow.db")) as database, database:
        for number in range(trials):
            _write_trial(database, experiment, parent, number, epochs, draw)


def _write_trial(
    database: sqlite3.Connection, experiment: str, parent: str, number: int, epochs: int, draw: random.Random
) -> None:
    run_id, began = f"{number:032x}", STARTED_MS + 1000 * number
    state = "PRUNED" if number % 7 == 6 else "COMPLETE"
    columns = "run_uuid, name, status, start_time, end_time, lifecycle_stage, artifact_uri, experiment_id, source_type, user_id"
    row = (run_id, f"{SWEEP}/{number}", "FINISHED", began, began + 8000, "active", f"/nowhere/{run_id}", experiment, "LOCAL", "")
    database.execute(f"INSERT INTO runs ({columns}) VALUES ({', '.join('?' * len(row))})", row)
    tags = {"kind": "trial", "mlflow.parentRunId": parent, "sweep": SWEEP, "trial.number": str(number), "trial.state": state}
    tags |= {"seed": "0", "git.commit": "abc", "data.fingerprint": "d", "torch": "2", "threads": "1", "duration_s": "8.0"}
    tags |= {"config.fingerprint": run_id}
    database.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", [(*tag, run_id) for tag in tags.items()])
    kind, rate = draw.choice(["constant", "linear"]), draw.uniform(0.0, 8.0)
    params = {
        "optimizer.lr": str(10 ** draw.uniform(-4, -2)),
        "objective.beta": str(draw.uniform(0.1, 1.0)),
        "objective.annealing.kind": kind,
        "model.softmax.kind": draw.choice(["full", "sampled", "adaptive"]),
        "training.epochs": str(epochs),
        **FIXED,
    }
    if kind == "linear":
        params["objective.annealing.warmup"] = str(draw.uniform(0.1, 0.5))
    database.executemany(
        "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", [(*param, run_id) for param in params.items()]
    )
    done = epochs if state == "COMPLETE" else max(1, epochs // 3)
    points = [(name, value, began + epoch, epoch) for epoch in range(1, done + 1) for name, value in _epoch(epoch, rate, draw)]
    final = [(name, 60.0 + rate + draw.random(), began + 8000, done) for name in FINAL] if state == "COMPLETE" else []
    rows = [(*point, run_id) for point in [*points, *final]]
    database.executemany("INSERT INTO metrics (key, value, timestamp, step, run_uuid, is_nan) VALUES (?, ?, ?, ?, ?, 0)", rows)
    database.executemany(
        "INSERT INTO latest_metrics (key, value, timestamp, step, run_uuid, is_nan) VALUES (?, ?, ?, ?, ?, 0)",
        [*rows[-len(EPOCH) - len(final) :]],
    )


def _epoch(epoch: int, rate: float, draw: random.Random) -> Iterator[tuple[str, float]]:
    for name in EPOCH:
        yield name, 100.0 * epoch if name == "train/step" else 60.0 + rate + 40.0 / math.sqrt(epoch) + draw.random()


def measured(code: str, home: Path) -> tuple[float, float]:
    """CPU seconds and MiB at most, of a process that runs ``code``."""
    command = [sys.executable, "-c", MEASURE.format(code=code), SWEEP, str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    line = next(line for line in done.stderr.splitlines() if line.startswith("measured "))
    seconds, mebibytes = line.split()[1:]
    return float(seconds), float(mebibytes)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--home", type=Path, help="where the record is kept, or is already")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = given.home or Path(scratch) / "home"
        if not (home / "mlflow.db").exists():
            write_sweep(home, given.trials, given.epochs)
        size = (home / "mlflow.db").stat().st_size / 2**20
        rows = []
        for name, code in READERS.items():
            seconds, mebibytes = measured(code, home)
            rows.append((name, f"{seconds:.1f}", f"{mebibytes:.0f}"))
        nothing, least = measured("import mlflow, pandas", home)
    print(f"{given.trials} trials of {given.epochs} epochs, a database of {size:.0f} MiB, {platform.machine()}\n")
    print(tabulate([*rows, ("only the imports", f"{nothing:.1f}", f"{least:.0f}")], ["", "CPU s", "MiB at most"], "github"))


if __name__ == "__main__":
    main()
