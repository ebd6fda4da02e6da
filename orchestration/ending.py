"""How a sweep ends: by what, in which state, and what is said of the trials that it leaves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable
from typing import Literal, TypeVar

from orchestration.errors import StudyRefused
from orchestration.limits import FAILURES
from orchestration.past import Past
from orchestration.patience import notice
from orchestration.points import NOTHING_ALLOWED
from orchestration.trial_state import Recorder, TrialView

T = TypeVar("T")

SweepState = Literal["RUNNING", "FINISHED", "INTERRUPTED", "FAILED"]
INTERRUPTED, STOPPED = "interrupted", "stopped"
"""The ends from which a sweep goes on as if there had been none: by a signal or an error, and by order."""


def state_of(ended_by: str | None, trials: Collection[TrialView]) -> SweepState:
    """How the sweep ended, or that it has not."""
    if ended_by is None:
        return "RUNNING"
    if ended_by.startswith((INTERRUPTED, STOPPED)):
        return "INTERRUPTED"
    none_worked = all(view.state == "FAILED" for view in trials) if trials else ended_by.startswith(NOTHING_ALLOWED)
    return "FAILED" if none_worked or ended_by.startswith(FAILURES) else "FINISHED"


def stop_waiting(recorder: Recorder, unfinished: Iterable[Past], waiting: Container[int]) -> None:
    """Of the ``unfinished`` those that still wait are STOPPED in the record too, where a killed driver has left them RUNNING."""
    for past in unfinished:
        if past.number in waiting and past.data and not past.reason:
            reason = "its driver was killed, and the sweep has ended before it was taken up again"
            recorder.trial_ended(past.number, "STOPPED", reason, None, past.duration_s)


class StudyGuard:
    """What is done to the study; where its database refuses for good, the sweep ends in good order and can be gone on with."""

    def __init__(self) -> None:
        self.refused: str | None = None
        """Why the study can no longer be written to."""

    def unless_refused(self, act: Callable[[], T], otherwise: T) -> T:
        """What ``act`` returns, or ``otherwise``."""
        try:
            return act()
        except StudyRefused as refused:
            if self.refused is None:
                notice(f"{refused}; the sweep ends")
            self.refused = str(refused)
            return otherwise
