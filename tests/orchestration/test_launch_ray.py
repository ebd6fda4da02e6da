"""Ray is begun for a sweep and gone with it, whatever fails on the way; and no more jobs are handed out than can begin."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestration import launch, run_sweep
from orchestration.environment import prepare_ray
from orchestration.errors import RayAway
from orchestration.messages import Job
from orchestration.own_ray import own_ray
from orchestration.spec import Resources
from vae_core.data.errors import DataError


def test_a_ray_that_does_not_begin_is_named_and_put_away(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_ray()
    import ray

    def init(**options: Any) -> None:
        raise RuntimeError("the node did not register\nafter 30 s")

    put_away = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: put_away.append(True))
    said = r"^Ray does not begin on this machine: the node did not register; try again when"
    with pytest.raises(RayAway, match=said), own_ray(Resources()):
        raise AssertionError("it did")
    assert put_away == [True]


def test_sigterm_while_it_begins_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_ray()
    import ray

    def init(**options: Any) -> None:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as Ray does
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), own_ray(Resources()):
        raise AssertionError("it went on")
    assert signal.getsignal(signal.SIGTERM) is before


def test_data_that_cannot_be_read_leave_no_ray_and_no_sweep(tiny: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    @contextlib.contextmanager
    def watched(resources: Resources) -> Iterator[None]:
        seen.append("up")
        try:
            yield
        finally:
            seen.append("down")

    def unreadable(spec: Any) -> None:
        raise DataError("no such file")

    monkeypatch.setattr(launch, "own_ray", watched)
    monkeypatch.setattr(launch, "_load_data", unreadable)
    with pytest.raises(DataError, match="no such file"):
        run_sweep(tiny, home=home)
    assert seen == ["up", "down"]
    assert not home.exists()


class HandingOut:
    """A driver that has a job whenever it is asked."""

    def __init__(self, at_once: int | None) -> None:
        self.at_once = at_once
        self.at_work = self.unbegun = 0
        self.waits = False
        self.spec = SimpleNamespace(resources=Resources(cpu=1.0, gpu=0.5))

    def next_job(self) -> Job:
        self.at_work += 1
        self.unbegun += 1
        return Job(self.at_work, {}, "nowhere", "cpu", [])


@pytest.mark.parametrize(
    ("at_once", "free", "wanted"),
    [
        (None, {"CPU": 8.0, "GPU": 2.0}, 5),  # four have room, and one waits
        (None, {"CPU": 3.0, "GPU": 2.0}, 4),
        (None, {}, 1),  # another sweep has it all
        (2, {"CPU": 8.0, "GPU": 2.0}, 2),
        (16, {"CPU": 8.0, "GPU": 1.0}, 3),  # more at once than there is room for: those beyond wait to be drawn
    ],
)
def test_as_many_jobs_as_have_room_and_one(
    at_once: int | None, free: dict[str, float], wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_ray()
    import ray

    from orchestration.launch_ray import DriverSearcher

    monkeypatch.setattr(ray, "available_resources", lambda: free)
    driver: Any = HandingOut(at_once)
    searcher = DriverSearcher(driver)
    handed = 0
    while searcher.suggest("trial") is not None:
        handed += 1
    assert handed == wanted
    if at_once is None:
        free.clear()  # all that had room have begun
        searcher._looked_s = 0.0
        driver.unbegun = 1
        assert searcher.suggest("trial") is None
        driver.at_work, driver.unbegun = driver.at_work - 1, 0  # one ended, and the one that waited took its worker
        assert searcher.suggest("trial") is not None
        assert searcher.suggest("trial") is None
