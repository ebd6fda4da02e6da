"""What a sweep costs beyond its training: a thousand trials that train nothing, with every record on.

    python -m benchmarks.no_op_trials [--trials 1000] [--workers 2] [--epochs 3] [--method random] [--debug]

The driver, Optuna's study, MLflow's record and Ray are those of any sweep; only the trainable is another, which says at once what
a trial would say. Prints the wall time, how a trial's cost changes as the study grows, the driver's memory, and the databases.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
from tabulate import tabulate

from benchmarks.measure import machine, peak_mebibytes
from orchestration import run_sweep
from orchestration.environment import prepare_ray
from orchestration.messages import Job, Message

SWEEP = """\
version: 1
name: no-op
trial:
  data: {{kind: digits}}
  model: {{encoder: {{kind: mlp}}, decoder: {{kind: mlp}}, latent: {{kind: gaussian, size: 4}}}}
  training: {{epochs: {epochs}}}
method: {method}
parameters:
  optimizer.lr: {{distribution: log_uniform_values, min: 1e-4, max: 1e-1}}
  objective.beta: {{min: 0.1, max: 1.0}}
run_cap: {trials}
resources: {{cpu: 1, max_concurrent_trials: {workers}}}
"""


SCORE = 12345.0
"""That of every trial, which no training would give."""


def nothing(job: Job, data: object) -> Iterator[Message]:
    """A trial's story without the trial."""
    scores = {"val/neg_elbo": SCORE, "val/rate": 1.0, "val/active_units": 4.0, "train/loss": 1.0}
    yield Message("start", timestamp_ms=time.time_ns() // 1_000_000, facts={"data.fingerprint": "none"})
    epochs = int(job.config["training"]["epochs"])
    for epoch in range(1, epochs + 1):
        yield Message("epoch", epoch, time.time_ns() // 1_000_000, 0.0, scores, annealed=True)
    final = {f"best/{name}": value for name, value in scores.items()}
    yield Message("final", epochs, time.time_ns() // 1_000_000, 0.0, final, annealed=True)
    yield Message("end", epochs, time.time_ns() // 1_000_000, 0.0, state="COMPLETE")


def without_training(debug: bool) -> Any:
    """Puts the trial that trains nothing in the place of a trial, here and in Ray's workers."""
    if debug:
        return mock.patch("orchestration.launch_debug.run_trial", nothing)
    prepare_ray()
    from orchestration import trainable

    class NoTraining(trainable.TrialTrainable):
        def _begin(self, config: dict[str, Any]) -> None:  # a name that is put in place here is not in the workers
            job = Job(**json.loads(config["job"]))
            self._directory, self._messages = Path(job.directory), nothing(job, None)

    return mock.patch("orchestration.launch_ray.TrialTrainable", NoTraining)


def starts_s(home: Path) -> list[float]:
    """When each trial began, in s since the first."""
    with contextlib.closing(sqlite3.connect(home / "optuna.db")) as database:
        times = [row[0] for row in database.execute("SELECT datetime_start FROM trials ORDER BY number")]
    stamps = pd.to_datetime(pd.Series(times))
    return [float(seconds) for seconds in (stamps - stamps[0]).dt.total_seconds()]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--method", default="random")
    parser.add_argument("--debug", action="store_true", help="in this process, without Ray")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home, file = Path(scratch) / "home", Path(scratch) / "no-op.yaml"
        file.write_text(SWEEP.format(epochs=given.epochs, method=given.method, trials=given.trials, workers=given.workers))
        began_s = time.monotonic()
        with without_training(given.debug), contextlib.redirect_stderr(io.StringIO()):
            result = run_sweep(file, home=home, debug=given.debug)
        wall_s = time.monotonic() - began_s
        assert sum(view.state == "COMPLETE" and view.value == SCORE for view in result.trials) == given.trials, "none was trained"
        assert not result.unsent
        starts = starts_s(home)
        tenth = max(1, given.trials // 10)
        rows = [
            ("wall time, Ray's start and the record's end included", f"{wall_s:.1f} s"),
            (
                f"from the first trial's start to the last's: each, of {given.trials}",
                f"{1000 * starts[-1] / (given.trials - 1):.0f} ms",
            ),
            (f"… of the first {tenth}", f"{1000 * starts[tenth] / tenth:.0f} ms"),
            (f"… of the last {tenth}", f"{1000 * (starts[-1] - starts[-1 - tenth]) / tenth:.0f} ms"),
            ("driver's memory at most", f"{peak_mebibytes():.0f} MiB"),
            *((f"{name}", f"{(home / name).stat().st_size / 2**20:.1f} MiB") for name in ("optuna.db", "mlflow.db")),
        ]
    launcher = "in one process" if given.debug else f"Ray, {given.workers} workers"
    print(f"{given.trials} trials of {given.epochs} epochs that train nothing, {given.method}, {launcher}\n{machine()}\n")
    print(tabulate(rows, tablefmt="github"))


if __name__ == "__main__":
    main()
