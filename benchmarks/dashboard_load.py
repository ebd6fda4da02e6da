"""The dashboard on a large store: the time to what one sees first, and what the server takes.

    python -m benchmarks.dashboard_load --trials 2000 --epochs 100

Writes a synthetic home of one sweep by bulk inserts into MLflow's tables, times ``load_sweeps``, ``load_trials`` and
``load_curves`` on it, then serves the dashboard and opens the sweep's page in Chromium, first with nothing read, then again.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SWEEP = "large"
_PARAMETERS = ("optimizer.lr", "objective.beta", "objective.annealing.kind", "model.decoder.word_dropout", "model.latent.size")
_METRICS = ("train/loss", "train/distortion", "train/rate", "train/beta", "train/lr", "train/step", "train/tokens_per_s")
_SCORES = ("neg_elbo", "distortion", "rate", "perplexity", "active_units", "mutual_information", "softmax_gap")
_FIXED_PARAMETERS = 60
_STARTED = 1_700_000_000_000
_BROWSER = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


def main() -> None:
    """Prints a line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--home", type=Path, default=None, help="kept, and used again where it is there")
    parser.add_argument("--no-browser", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = given.home or Path(scratch, "home")
        if not (home / "mlflow.db").exists():
            timed("write the store", lambda: write_store(home, given.trials, given.epochs))
        print(f"{given.trials} trials x {given.epochs} epochs, {(home / 'mlflow.db').stat().st_size / 2**20:.0f} MiB")
        read(home)
        if not given.no_browser:
            browse(home)


def timed(what: str, act: Any) -> Any:
    """What ``act`` returns; prints wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    found = act()
    print(f"{what}: {time.perf_counter() - wall:.2f} s ({time.process_time() - processor:.2f} s of processor)", flush=True)
    return found


def write_store(home: Path, trials: int, epochs: int) -> None:
    """One finished sweep: a third of its trials pruned after ten epochs, all others complete."""
    from mlflow import MlflowClient

    home.mkdir(parents=True)
    client = MlflowClient(tracking_uri=f"sqlite:///{home}/mlflow.db")
    experiment = client.create_experiment("vae-sweeps", str(home / "artifacts"))
    tags = {
        "kind": "sweep", "sweep": SWEEP, "state": "FINISHED", "question": "What does a large sweep cost to look at?",
        "metric.name": "val/neg_elbo", "metric.goal": "minimize", "method": "random", "run_cap": str(trials),
        "parameters": json.dumps(_PARAMETERS),
    }  # fmt: skip
    parent = client.create_run(experiment, start_time=_STARTED, tags=tags, run_name=SWEEP)
    client.set_terminated(parent.info.run_id, end_time=_STARTED + 3_600_000)
    draw = random.Random(0)
    with sqlite3.connect(home / "mlflow.db") as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(runs)")]
        template = dict(zip(columns, database.execute("SELECT * FROM runs").fetchone(), strict=True))
        for number in range(trials):
            run_id = uuid.UUID(int=draw.getrandbits(128)).hex
            _write_trial(database, template, run_id, parent.info.run_id, number, epochs, draw)


def _write_trial(
    database: sqlite3.Connection,
    template: dict[str, Any],
    run_id: str,
    parent: str,
    number: int,
    epochs: int,
    draw: random.Random,
) -> None:
    pruned = number % 3 == 2
    done = min(10, epochs) if pruned else epochs
    start = _STARTED + number * 1000
    row = template | {"run_uuid": run_id, "name": f"{SWEEP}/{number:04d}", "start_time": start, "end_time": start + 60_000}
    row["artifact_uri"] = str(template["artifact_uri"]).replace(parent, run_id)
    database.execute(f"INSERT INTO runs ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))
    tags = {
        "kind": "trial", "mlflow.parentRunId": parent, "sweep": SWEEP, "trial.number": str(number), "seed": "0",
        "trial.state": "PRUNED" if pruned else "COMPLETE", "duration_s": "60.0", "config.fingerprint": f"c{number}",
        "data.fingerprint": "d", "git.commit": "g", "threads": "1", "torch": "2.13.0", "mlflow.runName": f"{SWEEP}/{number:04d}",
    }  # fmt: skip
    database.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", [(*tag, run_id) for tag in tags.items()])
    lr, beta, dropout = 10 ** draw.uniform(-4, -2), draw.uniform(0.1, 1), draw.uniform(0, 0.6)
    values = (lr, beta, draw.choice(["constant", "linear", "cyclical"]), dropout, draw.choice([8, 16, 32]))
    parameters = {name: str(value) for name, value in zip(_PARAMETERS, values, strict=True)}
    parameters |= {f"model.fixed.{place}": "256" for place in range(_FIXED_PARAMETERS)}
    parameters |= {"training.epochs": str(epochs), "evaluation.importance_samples": "50"}
    database.executemany(
        "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", [(*one, run_id) for one in parameters.items()]
    )
    loss = 90 + 10 * abs(math.log10(lr) + 3) + 5 * dropout + draw.gauss(0, 1)
    names = [*_METRICS, *(f"val/{name}" for name in _SCORES)]
    points = [
        (name, _value(name, loss, beta, epoch, epochs), start + epoch, epoch) for epoch in range(1, done + 1) for name in names
    ]
    last = {point[0]: point for point in points}
    if not pruned:
        final = [f"best/val/{name}" for name in _SCORES] + [f"test/{name}" for name in (*_SCORES, "iw_nll", "iw_nll_se")]
        last |= {name: (name, _value(name, loss, beta, epochs, epochs), start + epochs, epochs) for name in final}
        points += [last[name] for name in final]
    insert = "(key, value, timestamp, step, run_uuid, is_nan) VALUES (?, ?, ?, ?, ?, 0)"
    database.executemany(f"INSERT INTO metrics {insert}", [(*point, run_id) for point in points])
    database.executemany(f"INSERT INTO latest_metrics {insert}", [(*point, run_id) for point in last.values()])


def _value(name: str, loss: float, beta: float, epoch: int, epochs: int) -> float:
    kind = name.rpartition("/")[2]
    fallen = loss + 30 * math.exp(-5 * epoch / epochs)
    rate = 4 / (0.2 + beta)
    known = {
        "neg_elbo": fallen,
        "distortion": fallen - rate,
        "rate": rate,
        "step": 100.0 * epoch,
        "beta": min(1.0, 4 * epoch / epochs),
    }
    return known.get(kind, fallen / 3)


def read(home: Path) -> None:
    """Times the readers."""
    from dashboards import load_curves, load_sweeps, load_trials

    timed("load_sweeps, with the imports", lambda: load_sweeps(home=home))
    timed("load_sweeps", lambda: load_sweeps(home=home))
    trials = timed("load_trials", lambda: load_trials(SWEEP, home=home))
    few = list(trials["run_id"].head(40))
    timed("load_curves of 40 trials, two metrics", lambda: load_curves(few, metrics=["val/neg_elbo", "train/beta"], home=home))
    curves = timed("load_curves of all, one metric", lambda: load_curves(SWEEP, metrics=["val/neg_elbo"], home=home))
    print(f"  {len(curves)} points")


def browse(home: Path) -> None:
    """Times the pages, and prints the server's memory."""
    import psutil
    from playwright.sync_api import sync_playwright

    from dashboards.app.links import page_url
    from dashboards.home import resolve_home
    from orchestration.page_servers import running_dashboard

    where = resolve_home(home, f"sqlite:///{home}/mlflow.db")
    with running_dashboard(where, "", "", "127.0.0.1", None, print) as server, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=_BROWSER)
        for again in ("first time", "again"):
            for what, path, query in _PAGES:
                page = browser.new_page(viewport={"width": 1400, "height": 1000})
                page.set_default_timeout(600_000)
                started = time.perf_counter()
                page.goto(page_url(path, server.url, **query))
                for name, selector in _MOMENTS[what]:
                    page.locator(selector).first.wait_for()
                    print(f"{what}, {again}: {name} after {time.perf_counter() - started:.1f} s", flush=True)
                page.close()
            print(f"  server: {sum(_memory(psutil)):.0f} MiB", flush=True)
        browser.close()


_PAGES: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("sweeps", "", {}),
    ("sweep", "sweep", {"sweep": SWEEP}),
    ("trial", "trial", {"sweep": SWEEP, "trial": "0"}),
)
_DONE = "[data-testid=stApp][data-test-script-state=notRunning]"
_MOMENTS = {
    "sweeps": [("the table", "[data-testid=stDataFrame]"), ("all", _DONE)],
    "sweep": [
        ("the question", ".vs-title"),
        ("the answer", ".vs-answer"),
        ("the leaderboard", "[data-testid=stDataFrame]"),
        ("the first figure", ".js-plotly-plot .main-svg"),
        ("all", _DONE),
    ],
    "trial": [("the configuration", ".vs-title"), ("the curves", ".js-plotly-plot .main-svg"), ("all", _DONE)],
}


def _memory(psutil: Any) -> Iterator[float]:
    """MiB of each process of the server."""
    for child in psutil.Process().children(recursive=True):
        if "streamlit" in " ".join(child.cmdline()):
            yield child.memory_info().rss / 2**20


if __name__ == "__main__":
    main()
