"""The driver: decides what is trained and what is stopped, and records it. Executes nothing, so every launcher shares it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from dashboards.variants import TAG
from orchestration.barriers import barriers
from orchestration.configurations import configurations, tags_of
from orchestration.control import Orders
from orchestration.ending import INTERRUPTED, STOPPED, StudyGuard, SweepState, state_of, stop_waiting
from orchestration.judge import Judge
from orchestration.limits import Limits
from orchestration.messages import Job, Message, TrialState
from orchestration.notices import TrialNotices
from orchestration.outcome import Outcome
from orchestration.spec import SweepSpec
from orchestration.spec.search_space import grid_trials, make_trial_config
from orchestration.spec.variants import in_words, taken
from orchestration.study import Search
from orchestration.trial_state import Recorder, TrialView
from orchestration.worker import ARTIFACTS, drop_checkpoint

T = TypeVar("T")
LOOK_EVERY_S = 0.5
"""Between two looks for orders."""


class Driver:
    """One sweep's decisions, fed with the messages of its workers.

    Args:
        trial_dir: the directory of a trial, by its number.
        tags: set on every trial, such as the commit.
    """

    def __init__(
        self, spec: SweepSpec, search: Search, recorder: Recorder, trial_dir: Callable[[int], Path], tags: Mapping[str, str]
    ) -> None:
        self.spec = spec
        self._search = search
        self._recorder = recorder
        self._directory = trial_dir
        self._tags = dict(tags)
        self._outcome = Outcome(spec)
        self._limits = Limits(spec)
        self._barriers = barriers(spec, search, trial_dir, lambda line: self.log(line))
        self._judge = Judge(spec, search, self._outcome, self._limits, self._barriers)
        self._configs: dict[int, Any] = {}
        self._started_s = time.monotonic()
        self._seconds_before = search.seconds
        self._obeyed = Orders()
        self._looked_s = -LOOK_EVERY_S
        self._study = StudyGuard()
        self._notices = TrialNotices()
        self._waiting_s: dict[int, float] = {}
        """What unfinished trials took, until they are taken up again."""
        self._won: list[TrialView] | None = None
        """The winners, until a trial begins or ends."""
        self._running: dict[int, TrialView] = {}
        self._unsaid: set[int] = set()
        """Trials that the record has not been told of since they were handed out: their workers have not begun."""
        self.trials: dict[int, TrialView] = {}
        self.ended_by: str | None = None
        """Why no further trial is asked for; None while the sweep may go on."""
        self.stopping = False
        """Set from outside, by a signal or an order, to end the sweep soon."""
        self.at_once = spec.resources.max_concurrent_trials
        """Trials at once at most; None: as many as the resources allow."""
        self.orders: Callable[[], Orders] = Orders
        """Asked, every now and then, for what the user has ordered meanwhile."""
        self.log: Callable[[str], None] = lambda line: None
        """Told what was decided."""
        self.listeners: list[Callable[[TrialView], None]] = []
        """Called with each trial that has ended."""
        self._remember()

    def _remember(self) -> None:
        for past in self._search.past:
            drop_checkpoint(self._directory(past.number))  # a driver that was killed in between could not
            self.trials[past.number] = TrialView(
                past.number,
                past.assignment,
                epochs=past.epoch,
                state=past.outcome,
                reason=past.reason,
                epoch=past.epoch,
                value=past.value,
                metrics=dict(past.metrics),
                started_s=past.started_s,
                duration_s=past.duration_s,
            )
            if self._barriers is not None:
                self._barriers.ended(self.trials[past.number])
            self._judge.tell_again(past)
        for past in self._search.unfinished:
            self._waiting_s[past.number] = past.duration_s
            self._judge.tell_again(past)

    def next_job(self) -> Job | None:
        """The next trial to train; None where there is no further one (``ended_by`` says why)."""
        return self._safely(self._next_job, None)

    def _next_job(self) -> Job | None:
        self.look()
        while not self.stopping:
            if (member := self._member_due()) is not None:
                return self._job(member)
            if self.ended_by is not None and not self._members_wait:
                return None
            limits = self._limits.reached(self.trials.values(), sum(self._waiting_s.values()))
            self.ended_by = self.ended_by or limits or self._closed
            if self.ended_by is not None and not self._members_wait:
                continue
            asked = self._search.ask()
            if asked is None:
                self.ended_by = self._all_asked()
                continue
            number, assignment = asked
            self._waiting_s.pop(number, None)
            view = TrialView(number, assignment, 0)
            self.trials[number], self._running[number], self._won = view, view, None
            if self._barriers is not None:
                self._barriers.began(view)
            try:
                config = make_trial_config(self.spec, view.assignment)
            except ValueError as error:  # a combination that no check of the file could foresee
                self._recorder.trial_started(number, assignment, "", None, self._tags_of(number))
                self._end(view, "FAILED", str(error))
                continue
            view.epochs = config.training.epochs
            words = in_words(self.spec.parameters, view.assignment)
            self.log(f"trial {number} {self._begun(number)}: {', '.join(f'{key}={at}' for key, at in words.items())}")
            return self._job(view)
        return None

    def _member_due(self) -> TrialView | None:
        """A member of a population that goes on from a barrier; an ordered stop leaves it there."""
        if self.ended_by == STOPPED:
            return None
        to_come = self._members_wait or (self.ended_by is None and self._search.left > 0)
        return None if self._barriers is None else self._barriers.due(self.running, to_come=to_come)

    @property
    def _members_wait(self) -> bool:
        """Whether members of a population had begun and wait to be taken up again: the budget lets them, a stop does not."""
        return self._barriers is not None and bool(self._waiting_s) and self.ended_by != STOPPED

    @property
    def _closed(self) -> str | None:
        """Why those of a population that have not begun never will."""
        if self._barriers is None or self._members_wait or not self._search.left:
            return None
        return self._barriers.closed

    def _job(self, view: TrialView) -> Job:
        self._configs[view.number] = config = make_trial_config(self.spec, view.assignment)
        device = "cuda" if self.spec.resources.gpu > 0 else "cpu"
        schedule = [] if self._barriers is None else self._barriers.schedule(view.number)
        self._unsaid.add(view.number)
        return Job(view.number, config.to_dict(), str(self._directory(view.number)), device, schedule)

    @property
    def waits(self) -> bool:
        """Whether more may be asked for later, though not now: where a population has not come to its end."""
        return self._barriers is not None and not self.stopping and self.ended_by != STOPPED and bool(self.running)

    def hear(self, number: int, message: Message) -> bool:
        """Takes one message of a running trial; False where the worker shall stop it."""
        return self._safely(partial(self._hear, number, message), False)

    def _hear(self, number: int, message: Message) -> bool:
        self.look()
        view = self.trials[number]
        if view.state != "RUNNING" or view.waiting or self.stopping:  # a late word of a trial that has ended, or is about to
            return False
        match message.kind:
            case "start":
                self._start(number, message)
                return True
            case "ancestor":
                return True
            case "epoch":
                self._notices.went_on(number)
                return self._epoch(view, message)
            case "final":
                scores = self._outcome.with_violation(message.metrics)
                self._recorder.epoch(number, message.epoch, scores, message.timestamp_ms)
                view.metrics.update(scores)
                return True
            case "notice":
                self._notices.say(number, message.reason)
                return True
            case "end":
                assert message.state is not None
                self._finish(view, message.state, message.reason, message.seconds)
                return False

    def lost(self, number: int, reason: str) -> None:
        """A worker died for good, without a last word."""
        view = self.trials[number]
        if view.state == "RUNNING":
            self._safely(partial(self._end, view, "FAILED", reason), None)

    def retried(self, number: int, reason: str) -> None:
        """A worker died, and another takes its trial up."""
        self.log(f"trial {number} lost its worker and is taken up again from its checkpoint: {reason}")

    def look(self) -> None:
        """Obeys the orders given meanwhile; looks for them at most every ``LOOK_EVERY_S``."""
        if time.monotonic() - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = time.monotonic()
        orders, before = self.orders(), self._obeyed
        self._obeyed = orders
        if orders.max_concurrent_trials not in (None, before.max_concurrent_trials):
            self.at_once = orders.max_concurrent_trials
            self.log(f"ordered: at most {self.at_once} trials at once")
        if orders.stop is not None and orders.stop != before.stop:
            why = f", for {orders.yield_to} of the queue goes first" if orders.yield_to is not None else ""
            self.log(f"ordered: stop {'now' if orders.stop == 'now' else 'after the running trials'}{why}")
            self.ended_by = STOPPED if self._barriers is not None else self.ended_by or STOPPED  # there all may have begun
            self.stopping = self.stopping or orders.stop == "now"

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to ask for, however often the sweep is gone on with."""
        return self._over() is not None

    def _over(self) -> str | None:
        """By what it is over, if it is."""
        if self._members_wait:
            return None
        used_up = self._limits.reached_for_good(self.trials.values(), sum(self._waiting_s.values()))
        return used_up or self._closed or (None if self._search.left else self._all_asked())

    def _all_asked(self) -> str:
        whole = grid_trials(self.spec)
        return self._search.exhausted or ("run_cap" if whole is None or whole > self.spec.run_cap else "grid")

    def close(self) -> None:
        """Ends the running trials as STOPPED: their checkpoints stay, and ``resume`` goes on with them.

        A sweep that was told to end when all was done anyway has not been interrupted.
        """
        stopped = self.running
        if stopped or self.stopping or self.ended_by in (None, STOPPED):
            by = STOPPED if self._obeyed.stop == "now" or self.ended_by == STOPPED else INTERRUPTED
            over = None if stopped or self._study.refused else self._over()
            self.ended_by = over or by + (f": {self._study.refused}" if self._study.refused else "")
        for view in stopped:
            self._safely(partial(self._end, view, "STOPPED", f"the sweep was {self.ended_by}"), None)
        stop_waiting(self._recorder, self._search.unfinished, self._waiting_s)
        self._safely(partial(self._search.set_seconds, self.seconds), None)

    def _safely(self, act: Callable[[], T], otherwise: T) -> T:
        done = self._study.unless_refused(act, otherwise)
        self.stopping = self.stopping or self._study.refused is not None
        return done

    @property
    def running(self) -> list[TrialView]:
        return list(self._running.values())

    @property
    def at_work(self) -> int:
        """How many trials have a worker."""
        return sum(not view.waiting for view in self._running.values())

    @property
    def unbegun(self) -> int:
        """How many trials have been handed out whose workers have not had a word yet."""
        return len(self._unsaid)

    @property
    def total_trials(self) -> int:
        """How many trials the sweep has when nothing ends it earlier."""
        return self._search.total

    def winners(self) -> list[TrialView]:
        """The finished trial that won, or of several metrics the Pareto set; pruned, collapsed and infeasible ones cannot.

        With ``seeds`` the finished configuration, as ``configurations`` has it.
        """
        if self._won is None:  # asked for at every redraw
            self._won = self._outcome.winners(configurations(self.trials.values(), self.spec.seeds, self._outcome))
        return self._won

    def best(self) -> TrialView | None:
        """The winner; of several the one that is best in the first metric."""
        return next(iter(self.winners()), None)

    def state(self) -> SweepState:
        """How the sweep ended, or that it has not."""
        return state_of(self.ended_by, self.trials.values())

    def _start(self, number: int, message: Message) -> None:
        self._search.began(number, message.facts.get("data.fingerprint", ""))
        self._say_begun(number, message.facts)
        if self._barriers is not None and (mark := self._barriers.taken_over(number)) is not None:
            self._recorder.epoch(number, *mark, message.timestamp_ms)

    def _say_begun(self, number: int, facts: Mapping[str, str]) -> None:
        config = self._configs[number]
        self._unsaid.discard(number)
        tags = {**self._tags_of(number), **facts}
        self._recorder.trial_started(number, config.flat(), config.fingerprint(), config.seed, tags)

    def _epoch(self, view: TrialView, message: Message) -> bool:
        self._recorder.epoch(view.number, message.epoch, message.metrics, message.timestamp_ms)
        if message.pictures:
            self._recorder.pictures(view.number, message.pictures)
        view.duration_s = message.seconds
        view.epoch = max(view.epoch, message.epoch)
        view.metrics.update(message.metrics)
        value = message.metrics.get(self.spec.metric.name)
        if value is None:
            return True
        view.value = value
        verdict = self._judge.epoch(view, message, value)
        if verdict.state is not None:
            self._end(view, verdict.state, verdict.reason)
        return verdict.goes_on

    def _finish(self, view: TrialView, state: TrialState, reason: str, seconds: float) -> None:
        view.duration_s = max(seconds, view.duration_s)
        ended, why = self._judge.end(view, state, reason)
        if state == "COMPLETE" and ended != "FAILED":
            view.value = view.metrics[self.spec.metric.column]
        self._end(view, ended, why)

    def _end(self, view: TrialView, state: TrialState, reason: str) -> None:
        view.state, view.reason, self._won = state, reason, None
        self._running.pop(view.number, None)
        if state == "COMPLETE":
            view.reason = reason = "; ".join(filter(None, [reason, self._judge.no_further_seeds(self.trials.values(), view)]))
        self._limits.ended(view)
        value = "" if view.value is None else f", {self.spec.metric.name} {view.value:.6g}"
        why = f": {reason}" if reason else ""
        self.log(f"trial {view.number} {state.lower()} after {view.epoch} epochs, {view.duration_s:.1f} s{value}{why}")
        scored = self._outcome.scores(view.metrics) is not None
        directory = self._directory(view.number)
        if view.number in self._unsaid:  # it ended before its worker had a word, and is known by its parameters all the same
            self._say_begun(view.number, {})
        self._recorder.trial_ended(view.number, state, reason, directory / ARTIFACTS, view.duration_s)
        with self._search.together():
            self._search.tell(view.number, state, reason, view.value if scored else None, view.duration_s, view.metrics)
            self._search.set_seconds(self.seconds)
        if state != "STOPPED":
            drop_checkpoint(directory)
        self._configs.pop(view.number, None)
        for listener in self.listeners:
            listener(view)

    @property
    def seconds(self) -> float:
        """What the sweep has taken so far, over all its starts, pauses left out."""
        return self._seconds_before + time.monotonic() - self._started_s

    @property
    def budget_used(self) -> str:
        """How much of each limit is used, in words."""
        return self._limits.used(self.trials.values(), self.total_trials, sum(self._waiting_s.values()))

    def _tags_of(self, number: int) -> dict[str, str]:
        """What a trial's run says beside its configuration and what its worker knows."""
        names = taken(self.spec.parameters, self.trials[number].assignment)
        own = tags_of(number, self.spec.seeds)
        schedule = {} if self._barriers is None else self._barriers.tags(number)
        return {**self._tags, **own, **schedule, **{f"{TAG}{name}": option for name, option in names.items()}}

    def _begun(self, number: int) -> str:
        heard = self._search.heard.get(number, 0)
        return f"taken up again, {heard} epochs heard of before" if heard else "started"
