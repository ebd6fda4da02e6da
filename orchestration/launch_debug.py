"""The debug launcher: one trial after the other in this process, without Ray; for tests and debuggers."""

from __future__ import annotations

from orchestration.driver import Driver
from orchestration.patience import notice
from orchestration.worker import run_trial
from vae_core.data.images import ImageData
from vae_core.data.text import TextData


def run(driver: Driver, data: TextData | ImageData | None) -> None:
    """Runs the sweep to its end.

    Orders are heard between messages, and one trial runs at a time. A trial that hangs hangs this process: it cannot be
    interrupted from within, which ``budget.trial_timeout`` would have to.
    """
    if driver.spec.budget.trial_timeout is not None:
        notice("budget.trial_timeout does not hold with --debug: a trial that hangs cannot be interrupted in this process")
    while (job := driver.next_job()) is not None:
        for message in run_trial(job, data):
            if not driver.hear(job.number, message):
                break
