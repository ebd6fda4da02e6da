"""The debug launcher: one trial after the other in this process, without Ray; for tests and debuggers."""

from __future__ import annotations

from orchestration.driver import Driver
from orchestration.worker import run_trial
from vae_core.data.images import ImageData
from vae_core.data.text import TextData


def run(driver: Driver, data: TextData | ImageData | None) -> None:
    """Runs the sweep to its end."""
    while (job := driver.next_job()) is not None:
        for message in run_trial(job, data):
            if not driver.hear(job.number, message):
                break
