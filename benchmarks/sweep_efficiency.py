"""How much of its workers' time a sweep trains, and how soon it begins, beside plain Ray Tune doing the same training.

    python -m benchmarks.sweep_efficiency [--trials 32] [--seconds 10] [--workers 2] [--rounds 1]

Both train the same model on the same data for the same number of epochs (so many that one trial alone takes about ``--seconds``)
with this project's trainer, one thread a trial. This side is ``run_sweep`` with every record on: study and MLflow in SQLite, a
checkpoint behind each epoch, samples and diagnosis of each finished trial. The other is ``tune.Tuner`` with ``OptunaSearch`` and
``MLflowLoggerCallback`` at their defaults, which keeps no checkpoint, no samples and no study on disk. The sides take turns, each
time in a new process.

Training seconds are those inside ``Trainer.run``: epochs with their validation, and the scoring of the selected epoch on the test
set; what a trial does beside (checkpoints, samples, diagnosis, waiting for the driver) is not training. Efficiency is their sum
over workers x wall time from when Ray is up until all is recorded, which is when MLflow's database has changed for the last time.
Ray's end, which this side waits for and a script leaves to the interpreter, comes after that.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

from tabulate import tabulate

TRIAL: dict[str, Any] = {
    "data": {"kind": "digits"},
    "model": {
        "encoder": {"kind": "mlp", "hidden": [200]},
        "decoder": {"kind": "mlp", "hidden": [200]},
        "latent": {"kind": "gaussian", "size": 8},
    },
    "training": {"batch_size": 4},
}
LR = (1e-4, 1e-2)
ROWS = {
    "wall": "wall time since Ray was up, s",
    "training": "seconds inside Trainer.run, all trials",
    "efficiency": "of workers × wall",
    "in_trials": "seconds of the trials as each side records them",
    "busy": "of workers × wall: the reports' efficiency",
    "trials": "trials",
    "first_step": "from the process's start to the first training step, s",
}


def trial_of(epochs: int) -> dict[str, Any]:
    return {**TRIAL, "training": {**TRIAL["training"], "epochs": epochs}}


def epochs_for(seconds: float) -> int:
    """How many one trial alone trains in so many seconds."""
    import torch

    from vae_core.config import TrialConfig
    from vae_core.trainer import Trainer

    torch.set_num_threads(1)
    config = TrialConfig.from_dict(trial_of(6))
    records = Trainer(config, config.data.load()).run()
    next(records)  # the first is slower
    began_s = time.monotonic()
    for _ in range(4):
        next(records)
    return max(2, round(4 * seconds / (time.monotonic() - began_s)))


def clocked(directory: Path) -> None:
    """Makes every ``Trainer.run`` of this process leave word of when it began and how long it took, its caller's time not."""
    from vae_core.trainer import Record, Trainer

    if hasattr(Trainer.run, "clocked"):
        return
    own = Trainer.run

    def run(self: Trainer) -> Iterator[Record]:
        (directory / f"{time.time_ns()}.began").touch()
        spent_s, records = 0.0, own(self)
        while True:
            began_s = time.monotonic()
            record = next(records, None)
            spent_s += time.monotonic() - began_s
            if record is None:
                break
            if record.final:  # a caller may not come back behind it
                (directory / f"{time.time_ns()}.took").write_text(repr(spent_s))
            yield record

    run.clocked = True  # type: ignore[attr-defined]  # a mark on a function
    Trainer.run = run  # type: ignore[method-assign]


def ours(scratch: Path, trials: int, workers: int, epochs: int) -> tuple[float, float]:
    """Runs the sweep; the wall time since Ray was up and the seconds of all trials, in s."""
    from orchestration import run_sweep
    from orchestration.environment import prepare_ray

    prepare_ray()
    import ray

    from orchestration import trainable
    from orchestration.importing import uncollected

    class Clocked(trainable.TrialTrainable):
        def setup(self, config: dict[str, Any], data: Any = None, timeout_s: float | None = None) -> None:
            with uncollected():  # as the worker imports, a moment later
                clocked(scratch)
            super().setup(config, data, timeout_s)

    up_s: list[float] = []
    own = ray.init

    def init(*args: Any, **options: Any) -> Any:
        done = own(*args, **options)
        up_s.append(time.time())
        return done

    file = scratch / "sweep.yaml"
    lr = {"distribution": "log_uniform_values", "min": LR[0], "max": LR[1]}
    resources = {"cpu": 1, "max_concurrent_trials": workers}
    sweep = {"version": 1, "name": "efficiency", "trial": trial_of(epochs), "method": "tpe", "parameters": {"optimizer.lr": lr}}
    file.write_text(json.dumps({**sweep, "run_cap": trials, "resources": resources}))
    with mock.patch("orchestration.launch_ray.TrialTrainable", Clocked), mock.patch("ray.init", init):
        result = run_sweep(file, home=scratch / "home")
    recorded_s = max(path.stat().st_mtime for path in result.home.root.glob("mlflow.db*"))
    assert sum(view.state == "COMPLETE" for view in result.trials) == trials
    assert not result.unsent
    return recorded_s - up_s[0], sum(view.duration_s for view in result.trials)


def plain(scratch: Path, trials: int, workers: int, epochs: int) -> tuple[float, float]:
    """Runs the same by Ray Tune alone; the wall time since Ray was up and the seconds of all trials, in s."""
    os.environ.update({"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"})
    import ray
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback
    from ray.tune.search.optuna import OptunaSearch

    from vae_core.config import TrialConfig
    from vae_core.trainer import Trainer

    def train(config: dict[str, Any], data: Any) -> None:
        import torch

        torch.set_num_threads(1)
        clocked(scratch)
        own = TrialConfig.from_dict({**trial_of(epochs), "optimizer": {"kind": "adam", "lr": config["lr"]}})
        told: dict[str, float] = {}
        for record in Trainer(own, data).run():
            told |= record.metrics  # Tune wants its metric each time, and the last scores have no other
            tune.report(told)

    data = TrialConfig.from_dict(trial_of(epochs)).data.load()
    ray.init("local", num_cpus=workers, include_dashboard=False, log_to_driver=False)
    up_s = time.monotonic()
    results = tune.Tuner(
        tune.with_resources(tune.with_parameters(train, data=data), {"cpu": 1}),
        param_space={"lr": tune.loguniform(*LR)},
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(metric="val/neg_elbo", mode="min"), metric="val/neg_elbo", mode="min", num_samples=trials
        ),
        run_config=tune.RunConfig(
            storage_path=str(scratch / "ray"),
            callbacks=[MLflowLoggerCallback(tracking_uri=f"sqlite:///{scratch}/mlflow.db", experiment_name="efficiency")],
        ),
    ).fit()
    wall_s = time.monotonic() - up_s
    assert results.num_terminated == trials
    return wall_s, sum(result.metrics["time_total_s"] for result in results)


SIDES = {"this project": ours, "plain Ray Tune": plain}


def measured(side: str, trials: int, workers: int, epochs: int) -> dict[str, float]:
    """One sweep of a side, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="vae-sweeps-efficiency-") as directory:
        scratch = Path(directory)
        began_ns = time.time_ns()
        order = [sys.executable, "-m", "benchmarks.sweep_efficiency", "--side", side, "--scratch", directory]
        sizes = [f"--trials={trials}", f"--workers={workers}", f"--epochs={epochs}"]
        done = subprocess.run([*order, *sizes], capture_output=True, text=True, timeout=1200)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
        wall_s, in_trials_s = json.loads((scratch / "found").read_text())
        took = [float(path.read_text()) for path in scratch.glob("*.took")]
        first_ns = min(int(path.stem) for path in scratch.glob("*.began"))
        assert len(took) == trials, "every trial was trained to its end, once"
        return {
            "wall": wall_s,
            "training": sum(took),
            "efficiency": sum(took) / (workers * wall_s),
            "in_trials": in_trials_s,
            "busy": in_trials_s / (workers * wall_s),
            "trials": float(len(took)),
            "first_step": (first_ns - began_ns) / 1e9,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10.0, help="that a trial alone takes")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1, help="sweeps of each side; medians are printed")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--epochs", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side is not None:
        found = SIDES[given.side](given.scratch, given.trials, given.workers, given.epochs)
        (given.scratch / "found").write_text(json.dumps(found))
        return
    epochs = epochs_for(given.seconds)
    measures: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(given.rounds):
        for side, rounds in measures.items():
            rounds.append(measured(side, given.trials, given.workers, epochs))
            print(side, {name: round(value, 3) for name, value in rounds[-1].items()}, flush=True)
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "ray", "optuna", "mlflow"))
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"
    print(f"\n{given.trials} trials of {epochs} epochs on {given.workers} workers, {given.rounds} rounds; {machine}\n")
    rows = [[text, *(statistics.median(one[name] for one in each) for each in measures.values())] for name, text in ROWS.items()]
    print(tabulate(rows, ("", *measures), tablefmt="github", floatfmt=".3g"))


if __name__ == "__main__":
    main()
