"""Tells a webhook how a sweep goes, in a thread of its own: a server that fails or hangs harms nothing, and is named once."""

from __future__ import annotations

import json
import queue
import threading
import urllib.request
from typing import TYPE_CHECKING, Any

from dashboards.standing import words_of
from orchestration.patience import notice
from orchestration.spec.notification import Event, Notify
from orchestration.spec.variants import in_words

if TYPE_CHECKING:
    from orchestration.driver import Driver
from orchestration.trial_state import TrialView

TIMEOUT_S = 10.0
"""For one answer."""
LAST_S = 15.0
"""For all that waits when the sweep has ended; then it is given up."""


class Notifier:
    """The webhook of one sweep; None as ``notify`` tells nobody."""

    def __init__(self, driver: Driver, notify: Notify | None) -> None:
        self._driver = driver
        self._notify = notify
        self._best = self._number(driver.best())
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="notify", daemon=True)
        self._troubled = False
        if notify is not None:
            self._thread.start()

    def trial_ended(self, view: TrialView) -> None:
        """Tells of a new best trial, if it is one."""
        if self._notify is None:
            return
        best = self._driver.best()
        if best is not None and best.number != self._best:
            self._best = best.number
            self._tell("new_best")

    def close(self) -> None:
        """Tells how the sweep ended, and waits ``LAST_S`` at most until all is told."""
        if self._notify is None:
            return
        ends: dict[str, Event] = {"FINISHED": "finished", "FAILED": "failed"}
        if (event := ends.get(self._driver.state())) is not None:
            self._tell(event)
        self._waiting.put(None)
        self._thread.join(LAST_S)
        if self._thread.is_alive():
            self._trouble(f"not all was told within {LAST_S:.0f} s")

    def _tell(self, event: Event) -> None:
        if self._notify is not None and event in self._notify.on:
            self._waiting.put(self._story(event))

    def _story(self, event: Event) -> dict[str, Any]:
        spec, best = self._driver.spec, self._driver.best()
        words = {"finished": "has finished", "failed": "has failed", "new_best": "has a new best trial"}[event]
        mean = "mean " if spec.seeds > 1 else ""
        found = "" if best is None else f": {words_of(best.number, spec.seeds)}, {mean}{spec.metric.name} {best.value:.6g}"
        return {
            "event": event,
            "sweep": spec.name,
            "question": spec.question,
            "state": self._driver.state(),
            "ended_by": self._driver.ended_by,
            "trials": sum(view.state != "RUNNING" for view in self._driver.trials.values()),
            "best": best
            and {"trial": best.number, "value": best.value, "parameters": in_words(spec.parameters, best.assignment)},
            "seeds": spec.seeds,
            "metric": spec.metric.name,
            "text": f"{spec.name} {words}{found}",  # what chats show
        }

    def _work(self) -> None:
        assert self._notify is not None
        opener = urllib.request.build_opener(_NoRedirect)
        while (story := self._waiting.get()) is not None:
            try:
                body = json.dumps(story).encode()
                request = urllib.request.Request(self._notify.url, body, {"Content-Type": "application/json"}, method="POST")
                opener.open(request, timeout=TIMEOUT_S).close()
            except Exception as error:  # whatever it is, the sweep goes on
                self._trouble(str(error) or type(error).__name__)

    def _trouble(self, why: str) -> None:
        if not self._troubled:
            self._troubled = True
            notice(f"the webhook of notify.url was not told: {why}; the sweep goes on, and this is not said again")

    @staticmethod
    def _number(view: TrialView | None) -> int | None:
        return None if view is None else view.number


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A story goes where the user has said, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None
