"""How much of its workers' time a sweep trains, left alone and struck by each fault: efficiency, and what was lost.

    python -m benchmarks.fault_efficiency [--workers 2] [--only undisturbed "worker killed" ...]

Efficiency is the seconds in trials over workers x wall time of the sweep, pauses between two drivers left out; a trial's seconds
are those of the work that counts, so an epoch trained twice lowers it, and so does Ray's start, which each driver has again. The
faults are real: processes are killed, files damaged, a database is locked, the tracking server is away. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from tabulate import tabulate

from dashboards import load_curves, load_sweeps, load_trials
from dashboards.analyses.cost import efficiency
from tests.faults.sweeps import command, start, wait_for_epochs

SWEEP = """\
version: 1
name: struck
trial:
  data: {kind: digits}
  model: {encoder: {kind: mlp}, decoder: {kind: mlp}, latent: {kind: gaussian, size: 4}}
  training: {epochs: 60, batch_size: 16}
method: random
parameters:
  optimizer.lr: {distribution: log_uniform_values, min: 1e-3, max: 1e-2}
run_cap: 12
resources: {cpu: 1, max_concurrent_trials: WORKERS}
"""
EPOCHS = 60 * 12
AWAY_S = 20.0

Blow = Callable[["Struck"], None]


class Struck:
    """A sweep that runs, and what happens to it."""

    def __init__(self, directory: Path, workers: int, tracking_uri: str | None = None) -> None:
        self.home = directory / "home"
        file = directory / "struck.yaml"
        file.write_text(SWEEP.replace("WORKERS", str(workers)))
        self._environment = {**os.environ, **({"MLFLOW_TRACKING_URI": tracking_uri} if tracking_uri else {})}
        self.process = start("run", file, "--home", self.home, environment=self._environment)

    def reach(self, share: float) -> None:
        """Waits until so much of the sweep has been trained."""
        wait_for_epochs(self.process, self.home, round(share * EPOCHS), seconds=600)

    def resume(self) -> None:
        self.process = start("resume", "struck", "--home", self.home, environment=self._environment)

    def worker(self) -> int:
        """A process that trains."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                name = "".join(child.cmdline())
                if name.startswith("ray::") and "Trainable" in name:
                    return int(child.pid)
        raise RuntimeError("no worker is to be seen")

    def end(self) -> None:
        output, _ = self.process.communicate(timeout=900)
        if self.process.returncode != 0:
            raise RuntimeError(output)


def undisturbed(sweep: Struck) -> None:
    """Nothing happens."""


def worker_killed(sweep: Struck) -> None:
    for share in (0.2, 0.4, 0.6):
        sweep.reach(share)
        os.kill(sweep.worker(), signal.SIGKILL)


def driver_killed(sweep: Struck) -> None:
    for share in (0.25, 0.5, 0.75):
        sweep.reach(share)
        sweep.process.kill()
        sweep.process.communicate()
        sweep.resume()


def checkpoint_cut(sweep: Struck) -> None:
    sweep.reach(0.5)
    sweep.process.kill()
    sweep.process.communicate()
    for state in sweep.home.glob("trials/struck/*/state.pt"):
        os.truncate(state, state.stat().st_size // 2)
    sweep.resume()


def database_locked(sweep: Struck) -> None:
    sweep.reach(0.4)
    with contextlib.closing(sqlite3.connect(sweep.home / "optuna.db", timeout=30, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(AWAY_S)
        other.execute("COMMIT")


FAULTS: dict[str, tuple[Blow, str]] = {
    "undisturbed": (undisturbed, ""),
    "worker killed": (worker_killed, "3 times"),
    "driver killed, resumed": (driver_killed, "3 times"),
    "driver killed, checkpoints cut in half, resumed": (checkpoint_cut, "each running trial"),
    "Optuna's database locked": (database_locked, f"{AWAY_S:.0f} s"),
}
SERVER_AWAY = "MLflow's server away"
COLUMNS = ("fault", "struck", "trials complete", "points lost or doubled", "wall time, s", "efficiency")


@contextlib.contextmanager
def server_to_come(directory: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """An address at which nobody answers, and how to let an MLflow server come to it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    stores = [
        "--backend-store-uri",
        f"sqlite:///{directory / 'server.db'}",
        "--default-artifact-root",
        str(directory / "artifacts"),
    ]
    order = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port), *stores]
    servers: list[subprocess.Popen[bytes]] = []

    def come() -> None:
        quiet = subprocess.DEVNULL
        servers.append(subprocess.Popen(order, stdout=quiet, stderr=quiet, start_new_session=True))

    try:
        yield uri, come
    finally:
        for server in servers:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def measured(home: Path, workers: int, tracking_uri: str | None = None) -> tuple[int, int, float, float]:
    """Trials that are complete, points of curves that are missing or stand twice, wall time in s, and efficiency."""
    trials = load_trials("struck", home=home, tracking_uri=tracking_uri)
    sweep = load_sweeps(home=home, tracking_uri=tracking_uri).iloc[0]
    curves = load_curves("struck", home=home, tracking_uri=tracking_uri)
    points = curves[curves["metric"] == "val/neg_elbo"]
    wrong = int(points.duplicated(["trial", "epoch"]).sum()) + abs(EPOCHS - len(points.drop_duplicates(["trial", "epoch"])))
    complete = int((trials["state"] == "COMPLETE").sum())
    return complete, wrong, float(sweep["duration_s"]), efficiency(trials, sweep, workers)


def struck_by(fault: str, workers: int) -> tuple[int, int, float, float]:
    """Runs the sweep under one fault."""
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as open_:
        directory = Path(scratch)
        if fault != SERVER_AWAY:
            sweep = Struck(directory, workers)
            FAULTS[fault][0](sweep)
            sweep.end()
            return measured(sweep.home, workers)
        uri, come = open_.enter_context(server_to_come(directory))
        sweep = Struck(directory, workers, uri)
        sweep.reach(0.5)
        come()
        sweep.end()
        for _ in range(20):
            code, output = command("status", "struck", "--home", sweep.home)
            if code == 0 and "still wait" not in output:
                break
        return measured(sweep.home, workers, uri)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    names = [*FAULTS, SERVER_AWAY]
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="*", choices=names, default=names)
    given = parser.parse_args()
    rows = []
    for fault in given.only:
        times = FAULTS[fault][1] if fault in FAULTS else "at the start and until half of it was trained"
        rows.append((fault, times, *struck_by(fault, given.workers)))
        print(rows[-1], flush=True)
    print(f"\n12 trials, {given.workers} workers, {EPOCHS} epochs in all\n")
    print(tabulate(rows, COLUMNS, tablefmt="github", floatfmt=("", "", "", "", ".0f", ".2f")))


if __name__ == "__main__":
    main()
