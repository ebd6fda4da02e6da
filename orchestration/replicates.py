"""The search with ``seeds: N``: each point is trained under N seeds, and the sampler sees it once, with the mean of the scores.

Two studies. The sweep's own has the points, one trial each, which runs until all its replicates have ended. The other,
``NAME/replicates``, has these: they are the sweep's trials. Samplers take whatever runs in their study for a bad point, lest they
draw it again; so they must not see the replicates at all.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dashboards.standing import is_cut, standing
from orchestration.configurations import mean_of
from orchestration.messages import TrialState
from orchestration.past import Past
from orchestration.spec import SweepSpec
from orchestration.spec.confirmation import SEED
from orchestration.spec.early_terminate import Wilcoxon
from orchestration.spec.replication import first_seed
from orchestration.spec.search_space import Assignment
from orchestration.spec.sections import Search as Options
from orchestration.stored import driven, open_storage, replicates_of
from orchestration.study import Search

if TYPE_CHECKING:
    import optuna


def make_search(spec: SweepSpec, url: str, text: str) -> Search:
    """A new sweep's search.

    Raises:
        optuna.exceptions.DuplicatedStudyError: the name is taken.
    """
    return _replicated(spec, url, Search.create(_of_points(spec), url, text))


def resume_search(spec: SweepSpec, url: str) -> Search:
    """An earlier sweep's; trials that ran when it ended wait to be gone on with."""
    return _replicated(spec, url, Search.resume(_of_points(spec), url))


def _replicated(spec: SweepSpec, url: str, points: Search) -> Search:
    if spec.seeds == 1:
        return points
    import optuna

    storage, directions = open_storage(url), [metric.goal for metric in spec.objectives]
    study = optuna.create_study(study_name=replicates_of(spec.name), storage=storage, directions=directions, load_if_exists=True)
    return ReplicatedSearch(spec, points, driven(study, storage))


def _of_points(spec: SweepSpec) -> SweepSpec:
    """The sweep as one whose trials are the points."""
    return spec if spec.seeds == 1 else spec.model_copy(update={"seeds": 1, "run_cap": spec.run_cap // spec.seeds})


def _of_replicates(spec: SweepSpec) -> SweepSpec:
    """The sweep as one whose every trial is handed to it."""
    return spec.model_copy(update={"method": "random", "constraints": (), "search": Options()})


@dataclass
class _Point:
    """A point that the sampler still takes for running."""

    begun: int = 0
    """Replicates, those that have ended among them."""
    ended: list[Past] = field(default_factory=list)

    @property
    def endings(self) -> list[tuple[str, str]]:
        return [(past.outcome, past.reason) for past in self.ended]

    @property
    def runs(self) -> bool:
        """Whether one that has begun has not ended."""
        return self.begun > len(self.ended)


class ReplicatedSearch(Search):
    """One sweep's two studies; its numbers are those of the replicates."""

    def __init__(self, spec: SweepSpec, points: Search, study: optuna.Study) -> None:
        self._points = points
        super().__init__(_of_replicates(spec), study)
        self._seeds = spec.seeds
        self._first_seed = first_seed(spec)
        rule = spec.early_terminate
        self._certain = rule.first_seeds if isinstance(rule, Wilcoxon) else spec.seeds
        """Replicates that no test can spare."""
        self._measured = any(past.outcome == "COMPLETE" for past in points.past)
        """Whether there is a complete point, with which others are compared."""
        self.past = [replace(past, assignment=self._seeded(past.number, past.assignment)) for past in self.past]
        self._values = {past.number: dict(past.values) for past in self.unfinished}
        """Of those that have not ended, by epoch."""
        begun = Counter(number // self._seeds for number in self.heard)
        self._left_out = sum(self._seeds - begun[past.number] for past in points.past)
        """Replicates of points that are told, and that were never begun."""
        self._untold: dict[int, _Point] = {}
        for _ in points.unfinished:
            self._take_up(begun)
        for past in self.past:
            if past.number // self._seeds in self._untold:
                self._untold[past.number // self._seeds].ended.append(past)
        for number in list(self._untold):  # killed between the end of the last replicate and the point's
            self._settle(number)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is changed within reaches each study as a whole, the replicates' before the points': a point is never told of
        before the replicate that ends it."""
        with self._points.together(), super().together():
            yield

    def close(self) -> None:
        self._points.close()
        super().close()

    def _take_up(self, begun: Mapping[int, int]) -> None:
        """A point that waits in the sampler's study runs again."""
        asked = self._points.ask()
        assert asked is not None, "it waits"
        self._untold[asked[0]] = _Point(begun.get(asked[0], 0))

    def ask(self) -> tuple[int, Assignment] | None:
        """Replicates that wait, then those of the points there are, one point after the other, then those of a new one, and last
        those that the end of another may spare."""
        if not self._waiting:
            number = self._next()
            if number is None:
                return None
            self.enqueue(number, self._points.point(number // self._seeds))
        asked = super().ask()
        assert asked is not None, "one has just been enqueued"
        number, assignment = asked
        self._values.setdefault(number, {})
        return number, self._seeded(number, assignment)

    def _next(self) -> int | None:
        """The number of the replicate to begin, noted as begun; draws a point where none of the others can be gone on with."""
        open_ = [number for number, point in sorted(self._untold.items()) if self._is_open(point)]
        number = next((number for number in open_ if not self._may_be_spared(number)), None)
        if number is None and (asked := self._points.ask()) is not None:
            number, _ = asked
            self._untold[number] = _Point()
        self.exhausted = self._points.exhausted
        if number is None:
            if not open_:
                return None
            number = open_[0]
        point = self._untold[number]
        point.begun += 1
        return number * self._seeds + point.begun - 1

    def _is_open(self, point: _Point) -> bool:
        return point.begun < self._seeds and not is_cut(point.endings)

    def _may_be_spared(self, number: int) -> bool:
        """Whether the next replicate of a point may turn out not to be wanted, once one that runs has ended.

        Until a point is complete, with which the others are compared, the first is to become that.
        """
        point = self._untold[number]
        return point.begun >= self._certain and point.runs and (self._measured or number != min(self._untold))

    def _seeded(self, number: int, assignment: Assignment) -> Assignment:
        return {**assignment, SEED: self._first_seed + number % self._seeds}

    def report(self, number: int, epoch: int, value: float, *, annealed: bool, collapsed: bool = False) -> None:
        super().report(number, epoch, value, annealed=annealed, collapsed=collapsed)
        self._values[number][epoch] = value

    def began(self, number: int, data: str) -> None:
        super().began(number, data)
        if number // self._seeds in self._untold:
            self._points.began(number // self._seeds, data)

    def tell(
        self,
        number: int,
        outcome: TrialState,
        reason: str,
        value: float | None,
        seconds: float,
        metrics: Mapping[str, float] = MappingProxyType({}),
        violations: Mapping[str, float] | None = None,
    ) -> None:
        """Ends a replicate, and with the last one its point."""
        super().tell(number, outcome, reason, value, seconds, metrics, violations)
        if outcome == "STOPPED":  # it goes on at the next start, and so does its point
            return
        values, kept = self._values.pop(number), self._outcome.kept(metrics)
        ended = Past(number, outcome, reason, {}, value, values, None, 0.0, seconds, metrics=kept)
        if number // self._seeds not in self._untold:  # an earlier version could be killed between the point's end and this one
            return
        self._untold[number // self._seeds].ended.append(ended)
        self._settle(number // self._seeds)

    def _settle(self, number: int) -> None:
        """Tells the sampler of a point if none of its replicates runs and no further one will."""
        point = self._untold[number]
        outcome = standing(point.endings, self._seeds)
        if point.runs or outcome == "RUNNING":
            return
        del self._untold[number]
        self._measured = self._measured or outcome == "COMPLETE"
        self._left_out += self._seeds - point.begun
        scored = [past for past in point.ended if self._outcome.scores(past.metrics) is not None]
        scored = [past for past in scored if past.outcome in ("COMPLETE", "COLLAPSED")]
        means = mean_of([past.metrics for past in scored])
        if outcome == "PRUNED":
            self._points.report(number, *_last_word(point.ended, means[self._column] if scored else None), annealed=True)
        self._points.tell(
            number,
            outcome,
            next((past.reason for past in point.ended if past.outcome == outcome), ""),
            means.get(self._column),
            math.fsum(past.duration_s for past in point.ended),
            means,
            mean_of([self._outcome.violations(past.metrics) for past in scored]) or None,
        )

    @property
    def _column(self) -> str:
        return self._spec.metric.column

    @property
    def warm(self) -> bool:
        return self._points.warm

    def set_warm(self, lines: Collection[str]) -> None:
        self._points.set_warm(lines)

    def add_earlier(self, origin: str, point: Mapping[str, Any], scores: list[float], metrics: Mapping[str, float]) -> None:
        self._points.add_earlier(origin, point, scores, metrics)

    def set_text(self, text: str) -> None:
        self._points.set_text(text)

    @property
    def total(self) -> int:
        """Of all points their replicates, without those that will not be begun."""
        cut = sum(self._seeds - point.begun for point in self._untold.values() if is_cut(point.endings))
        return self._seeds * self._points.total - self._left_out - cut

    @property
    def asked(self) -> int:
        """Replicates of all points that were drawn, whether or not each was begun."""
        return self._seeds * self._points.asked

    @property
    def left(self) -> int:
        open_ = sum(self._seeds - point.begun for point in self._untold.values() if self._is_open(point))
        return self._waiting + open_ + self._seeds * self._points.left


def _last_word(ended: list[Past], mean: float | None) -> tuple[int, float]:
    """Of a point that was cut at an epoch: the first such epoch, and the mean of its replicates there. Of one that got no further
    seeds: how many it had, and the mean of their scores."""
    lengths = [max(past.values) for past in ended if past.outcome == "PRUNED" and past.values]
    if lengths:
        values = [past.values[min(lengths)] for past in ended if min(lengths) in past.values]
        return min(lengths), math.fsum(values) / len(values)
    assert mean is not None, "whoever gets no further seeds has scores"
    return len(ended), mean
