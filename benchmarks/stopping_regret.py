"""What early stopping picks and saves, replayed on a recorded sweep whose trials were all trained to their end.

    vae-sweeps run sweeps/wikitext2_stopping.yaml
    python -m benchmarks.stopping_regret wikitext2-stopping [--home DIR] [--workers 4] [--orders 500]

Successive halving is replayed three times, by the same rule at the same rungs, and differs in what it looks at alone:
the exact validation metric past each trial's annealing, as a sweep here does; the same metric without regard to annealing; and
the training loss, whose weight on the KL is still being annealed. Trials are handed to the workers in an order drawn anew for
each replay and take the time that they took. The winner is the best of those that came to their end, by the searched metric;
its regret is how much worse it is than the best of all. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from dashboards import load_curves, load_trials
from dashboards.home import resolve_home
from orchestration.stopping import Asha, StoppingRule
from orchestration.stored import complete_trials
from orchestration.stored_sweeps import stored_sweep

COLUMNS = (
    "stopping looks at",
    "best trial won",
    "regret, mean",
    "regret, worst",
    "epochs saved",
    "wall time, s",
    "wins in the recorded order",
)
TRAINING_LOSS = "train/loss"


@dataclass(frozen=True)
class Recorded:
    """One trial, trained to its end."""

    number: int
    seconds: float
    """An epoch, on average."""
    score: float
    """The searched metric of the selected epoch; lower is better."""
    watched: dict[str, dict[int, float]]
    """What each way of stopping looks at, by epoch; lower is better."""


@dataclass(frozen=True)
class Replay:
    """How a sweep would have gone."""

    winner: Recorded
    epochs: int
    """Trained in all."""
    seconds: float
    """Of wall time."""


def recorded(sweep: str, home: Path | None) -> list[Recorded]:
    """The trials of a sweep without early termination, each with what could have been looked at."""
    where = resolve_home(home)
    spec, _ = stored_sweep(sweep, where)
    sign = 1.0 if spec.metric.goal == "minimize" else -1.0
    annealed = {past.number: past.annealed_from for past in complete_trials(spec, where.study_url(sweep))}
    table = load_trials(sweep, home=where.root).set_index("trial")
    curves = load_curves(sweep, home=where.root)
    found = []
    for number, first in sorted(annealed.items()):
        own = curves[curves["trial"] == number]
        exact = {epoch: sign * value for epoch, value in _curve(own, spec.metric.name).items()}
        past_annealing = {at: value for at, value in exact.items() if first is not None and at >= first}
        found.append(
            Recorded(
                number,
                float(table["duration_s"][number]) / len(exact),
                sign * float(table[spec.metric.column][number]),
                {
                    "the exact metric, past annealing": past_annealing,
                    "the exact metric, at any epoch": exact,
                    "the training loss": _curve(own, TRAINING_LOSS),
                },
            )
        )
    return found


def _curve(curves: pd.DataFrame, metric: str) -> dict[int, float]:
    points = curves[curves["metric"] == metric]
    return dict(zip(points["epoch"].astype(int), points["value"].astype(float), strict=True))


def replay(
    trials: list[Recorded], watched: Mapping[int, Mapping[int, float]], rule: StoppingRule, workers: int, epochs: int
) -> Replay:
    """Hands the trials, in their order, to so many workers, and stops whom the rule stops.

    Args:
        watched: what the rule is told of each trial, by epoch.
        epochs: of a whole trial.
    """
    queue = list(reversed(trials))
    events: list[tuple[float, int, Recorded | None, int]] = [(0.0, worker, None, 0) for worker in range(workers)]
    done, spent, now = [], 0, 0.0
    while events:
        now, worker, trial, epoch = heapq.heappop(events)
        if trial is not None:
            spent += 1
            value = watched[trial.number].get(epoch)
            stopped = value is not None and rule.verdict(trial.number, epoch, value) is not None and epoch < epochs
            if not stopped and epoch < epochs:
                heapq.heappush(events, (now + trial.seconds, worker, trial, epoch + 1))
                continue
            if epoch == epochs:
                done.append(trial)
        if queue:
            following = queue.pop()
            heapq.heappush(events, (now + following.seconds, worker, following, 1))
    return Replay(min(done, key=lambda trial: trial.score), spent, now)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sweep")
    parser.add_argument("--home", type=Path)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--orders", type=int, default=500, help="replays, each with the trials in another order")
    parser.add_argument("--min-epochs", type=int, default=2)
    parser.add_argument("--eta", type=int, default=3)
    given = parser.parse_args()
    trials = recorded(given.sweep, given.home)
    epochs = max(max(story) for trial in trials for story in trial.watched.values())
    best = min(trials, key=lambda trial: trial.score)
    whole = replay(trials, {trial.number: {} for trial in trials}, Asha(given.min_epochs, given.eta), given.workers, epochs)
    rows = [("nothing: all are trained to their end", 1.0, 0.0, 0.0, 0.0, whole.seconds, f"{best.number}: {best.score:.2f}")]
    for name in trials[0].watched:
        watched = {trial.number: trial.watched[name] for trial in trials}
        draw, replays = random.Random(0), []
        for _ in range(given.orders):
            order = draw.sample(trials, len(trials))
            replays.append(replay(order, watched, Asha(given.min_epochs, given.eta), given.workers, epochs))
        own = replay(trials, watched, Asha(given.min_epochs, given.eta), given.workers, epochs).winner
        regrets = [one.winner.score - best.score for one in replays]
        saved = 1 - statistics.mean(one.epochs for one in replays) / whole.epochs
        kept = statistics.mean(one.winner is best for one in replays)
        seconds = statistics.mean(one.seconds for one in replays)
        rows.append((name, kept, statistics.mean(regrets), max(regrets), saved, seconds, f"{own.number}: {own.score:.2f}"))
    print(f"{len(trials)} trials of {epochs} epochs, {given.workers} workers, {given.orders} orders;", end=" ")
    print(f"rungs from epoch {given.min_epochs} by {given.eta}; regret in the metric's units\n")
    print(tabulate(rows, COLUMNS, tablefmt="github", floatfmt=("", ".0%", ".2f", ".2f", ".0%", ".0f", "")))


if __name__ == "__main__":
    main()
