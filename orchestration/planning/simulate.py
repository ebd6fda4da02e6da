"""A sweep played through without training: the real stopping rule, the trials' lengths, and values drawn at random.

What stopping saves depends on results that nobody knows. Here every trial has a quality drawn at random, the same from epoch to
epoch, and all get better alike: early ranks are final ranks, and no rank is likelier than another.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from orchestration.stopping import StoppingRule


@dataclass(frozen=True)
class Course:
    """How a trial would go if nothing stopped it."""

    epochs: int
    candidate: int
    """The first epoch past annealing's end: none is judged before."""
    start_s: float = 0.0
    epoch_s: float = 1.0
    final_s: float = 0.0
    """Scoring and artifacts after the last epoch, which a stopped trial has not."""

    @property
    def whole_s(self) -> float:
        return self.start_s + self.epochs * self.epoch_s + self.final_s


@dataclass
class Played:
    """One sweep, played through."""

    wall_s: float = 0.0
    trial_s: float = 0.0
    """Of all trials together."""
    started: int = 0
    ended_by: str = ""
    """The part of the budget that ended it; empty where all trials were started."""
    finished: int = 0
    epochs: int = 0
    stopped_at: Counter[int] = field(default_factory=Counter)
    """Trials by the epoch that they were stopped at."""
    reached: Counter[int] = field(default_factory=Counter)
    """Trials by the epoch that they trained, their last one left out."""
    judged_at: Counter[int] = field(default_factory=Counter)
    """Of them those past their annealing."""


@dataclass(frozen=True)
class Limit:
    """What of a budget can be foreseen: once it is used up, no trial is started."""

    wall_s: float = math.inf
    trial_s: float = math.inf
    """Of all trials together."""


NO_LIMIT = Limit()


def play(courses: Sequence[Course], rule: StoppingRule, at_once: int, seed: int, limit: Limit = NO_LIMIT) -> Played:
    """One sweep: trials in their order, so many at once.

    Args:
        rule: a fresh one; it is told every value that a sweep would tell it.
    """
    generator = random.Random(seed)
    quality = [generator.random() for _ in courses]
    played, waiting = Played(), iter(range(len(courses)))
    events: list[tuple[float, int, int]] = []
    """When a trial will have trained an epoch; epoch 0: it starts."""

    def begin(now_s: float) -> None:
        if played.started < len(courses) and not played.ended_by:
            played.ended_by = "wall_time" if now_s > limit.wall_s else "device_hours" if played.trial_s >= limit.trial_s else ""
        trial = None if played.ended_by else next(waiting, None)
        if trial is not None:
            played.started += 1
            played.trial_s += courses[trial].start_s
            heapq.heappush(events, (now_s + courses[trial].start_s, trial, 0))

    for _ in range(at_once):
        begin(0.0)
    while events:
        now_s, trial, epoch = heapq.heappop(events)
        course = courses[trial]
        played.wall_s = max(played.wall_s, now_s)
        if epoch > course.epochs:  # scored, too
            played.finished += 1
            begin(now_s)
            continue
        played.reached[epoch] += 0 < epoch < course.epochs
        if epoch and course.candidate <= epoch < course.epochs:
            played.judged_at[epoch] += 1
            if rule.verdict(trial, epoch, quality[trial] + 1.0 / epoch) is not None:
                played.stopped_at[epoch] += 1
                begin(now_s)
                continue
        takes_s = course.final_s if epoch == course.epochs else course.epoch_s
        played.trial_s += takes_s
        played.epochs += epoch < course.epochs
        heapq.heappush(events, (now_s + takes_s, trial, epoch + 1))
    return played


def replay(
    courses: Sequence[Course], rule: Callable[[], StoppingRule], at_once: int, times: int = 100, limit: Limit = NO_LIMIT
) -> list[Played]:
    """The same sweep under other values, ``times`` times."""
    return [play(courses, rule(), at_once, seed, limit) for seed in range(times)]
