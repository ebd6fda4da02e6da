"""When the last words of a sweep are said: while Ray goes, but never while a trial may still have a word to say."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboards.records import load_sweeps, load_trials
from orchestration import launch, launch_debug, launch_ray
from orchestration.driver import Driver
from orchestration.launch import SweepResult, run_sweep
from orchestration.tracking.sweep_record import SweepRecord
from orchestration.worker import run_trial
from tests.conftest import TINY

Run = Callable[[Driver, Any], None]


def stops_amid_a_trial(driver: Driver, data: Any) -> None:
    """As if a stop were ordered after the first epoch."""
    job = driver.next_job()
    assert job is not None
    for message in run_trial(job, data):
        driver.hear(job.number, message)
        if message.kind == "epoch":
            driver.stopping = True
            return


@pytest.fixture
def ray_that_goes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Run], tuple[SweepResult, list[str]]]:
    """Runs a sweep whose trials ``run`` trains in this process; the result, and in which order it ended."""
    story: list[str] = []

    class Record(SweepRecord):
        def end(self, driver: Driver) -> None:
            super().end(driver)
            story.append("last words")

    @contextlib.contextmanager
    def own_ray(resources: Any) -> Iterator[None]:
        yield
        story.append("Ray is gone")

    monkeypatch.setattr(launch, "SweepRecord", Record)
    monkeypatch.setattr(launch, "own_ray", own_ray)
    (tmp_path / "tiny.yaml").write_text(TINY)

    def go(run: Run) -> tuple[SweepResult, list[str]]:
        monkeypatch.setattr(launch_ray, "run", run)
        return run_sweep(tmp_path / "tiny.yaml", home=tmp_path / "home"), story

    return go


def test_they_are_said_before_ray_goes_where_all_trials_have_ended(ray_that_goes: Any) -> None:
    result, story = ray_that_goes(launch_debug.run)
    assert story == ["last words", "Ray is gone", "Ray is gone"]  # which was begun for it, and is asked for once more
    assert not result.unsent
    assert set(load_trials("tiny", home=result.home.root)["state"]) == {"COMPLETE"}
    assert list(load_sweeps(home=result.home.root)["state"]) == ["FINISHED"]


def test_they_wait_for_ray_where_a_trial_runs(ray_that_goes: Any) -> None:
    result, story = ray_that_goes(stops_amid_a_trial)
    assert story == ["Ray is gone", "Ray is gone", "last words"]
    assert not result.unsent
    assert list(load_trials("tiny", home=result.home.root)["state"]) == ["STOPPED"]
    assert list(load_sweeps(home=result.home.root)["state"]) == ["INTERRUPTED"]
