"""What is asked for at every epoch or redraw: the same answers as by looking at everything anew, in bounded time."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestration.outcome import Outcome
from orchestration.spec import load_sweep
from orchestration.stopping import Median, Patient, StoppingRule

Stories = Mapping[int, Mapping[int, float]]


def stopped_by_median(stories: Stories, trial: int, epoch: int) -> bool:
    """By the definition: warm-up of 2 epochs, at least 3 others."""
    others = [story for number, story in stories.items() if number != trial and max(story) >= epoch >= min(story)]
    averages = [statistics.fmean(at for past, at in story.items() if past <= epoch) for story in others]
    best = min(at for past, at in stories[trial].items() if past <= epoch)
    return epoch > 2 and len(averages) >= 3 and best > statistics.median(averages)


def stopped_by_patience(stories: Stories, trial: int, epoch: int) -> bool:
    """By the definition: patience 3, any fall counts, and another trial's best is below its own."""
    own = [(past, at) for past, at in sorted(stories[trial].items()) if past <= epoch]
    best, since = min((at, past) for past, at in own)
    others = [at for number, story in stories.items() if number != trial for past, at in story.items() if past <= epoch]
    return epoch - since >= 3 and min(others, default=math.inf) < best


def told(seed: int, trials: int = 20, epochs: int = 15) -> Iterator[tuple[int, int, float]]:
    """Trials side by side, each with its own annealing, gaps as of collapsed epochs, and words said again after a crash."""
    draw = random.Random(seed)
    rest = {trial: list(range(draw.randint(1, 4), epochs + 1)) for trial in range(trials)}
    said: list[tuple[int, int, float]] = []
    while rest:
        trial = draw.choice(list(rest))
        epoch = rest[trial].pop(0)
        if not rest[trial]:
            del rest[trial]
        if draw.random() < 0.15:
            continue
        said.append((trial, epoch, draw.gauss(10 - 0.2 * epoch, 1.0)))
        yield said[-1]
        if draw.random() < 0.1:
            yield draw.choice(said)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    ("rule", "stopped"),
    [
        (lambda: Median(warmup_epochs=2, min_trials=3), stopped_by_median),
        (lambda: Patient(patience=3, min_delta=0.0), stopped_by_patience),
    ],
    ids=["median", "patient"],
)
def test_the_rules_judge_as_by_their_definition(
    rule: Callable[[], StoppingRule], stopped: Callable[[Stories, int, int], bool], seed: int
) -> None:
    judge = rule()
    stories: dict[int, dict[int, float]] = {}
    verdicts = set()
    for trial, epoch, value in told(seed):
        stories.setdefault(trial, {})[epoch] = value
        verdict = judge.verdict(trial, epoch, value) is not None
        assert verdict == stopped(stories, trial, epoch), (trial, epoch)
        verdicts.add(verdict)
    assert verdicts == {True, False}


@pytest.mark.parametrize("seed", range(5))
def test_the_pareto_set_is_what_nothing_dominates(tiny: Path, seed: int) -> None:
    text = tiny.read_text().replace("metric: {name: val/neg_elbo, goal: minimize}\n", "")
    tiny.write_text(text)
    metrics = "metrics=[{name: val/neg_elbo}, {name: val/rate, goal: maximize}, {name: val/distortion}]"
    outcome = Outcome(load_sweep(tiny, [metrics, "method=tpe"]))
    draw = random.Random(seed)
    scores = {number: tuple(draw.randint(0, 6) for _ in range(3)) for number in range(150)}  # with ties and equals
    names = ("best/val/neg_elbo", "best/val/rate", "best/val/distortion")
    trials = [
        SimpleNamespace(number=number, state="COMPLETE", value=float(three[0]), metrics=dict(zip(names, three, strict=True)))
        for number, three in scores.items()
    ]

    def beats(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
        return one != other and one[0] <= other[0] and one[1] >= other[1] and one[2] <= other[2]

    expected = [number for number, own in scores.items() if not any(beats(other, own) for other in scores.values())]
    winners = [trial.number for trial in outcome.winners(trials)]
    assert sorted(winners) == expected
    assert [scores[number][0] for number in winners] == sorted(scores[number][0] for number in winners)


@pytest.mark.parametrize("rule", [Median(5, 3), Patient(5, 0.01)], ids=["median", "patient"])
def test_a_verdict_costs_little_after_many_trials(rule: StoppingRule) -> None:
    """Of 600 trials of 50 epochs a verdict takes 0.1 ms; by looking at all of them anew it took 10 ms."""
    draw = random.Random(0)
    began_s = time.process_time()
    for trial in range(600):
        for epoch in range(1, 51):
            rule.verdict(trial, epoch, draw.gauss(10 - 0.01 * epoch, 1.0))
    assert (time.process_time() - began_s) / 30_000 < 0.001
