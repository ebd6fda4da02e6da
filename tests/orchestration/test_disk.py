"""Checkpoints reach the disk while training goes on: in order, one always whole, and a full disk is waited out."""

from __future__ import annotations

import errno
import time
from pathlib import Path

import pytest

from orchestration import worker
from orchestration.disk import DiskWait
from orchestration.messages import Job
from orchestration.worker import run_trial
from vae_core import checkpoint
from vae_core.config import TrialConfig

EPOCHS = 4
CONFIG = TrialConfig.from_dict(
    {
        "data": {"kind": "digits"},
        "model": {"encoder": {"kind": "mlp"}, "decoder": {"kind": "mlp"}, "latent": {"kind": "gaussian", "size": 2}},
        "training": {"epochs": EPOCHS},
        "evaluation": {"importance_samples": 1, "importance_examples": 5, "samples": 0},
    }
)
SLOW_S = 0.2


def test_it_begins_at_once_and_ends_when_all_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def slow(path: Path) -> None:
        time.sleep(SLOW_S)
        seen.append(path.name)

    monkeypatch.setattr(checkpoint, "to_disk", slow)
    wait = DiskWait()
    wait.end()
    wait.begin([tmp_path / "a", tmp_path / "b"])
    assert seen == []
    wait.end()
    assert seen == ["a", "b"]


def test_what_does_not_reach_the_disk_is_said_once(tmp_path: Path) -> None:
    wait = DiskWait()
    wait.begin([tmp_path / "absent"])
    with pytest.raises(FileNotFoundError):
        wait.end()
    wait.end()


def test_a_state_is_on_the_disk_before_it_becomes_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what each of a trial's writes finds there."""
    story: list[tuple[str, int]] = []
    save, bring = checkpoint.save_state, checkpoint.to_disk

    def slow(path: Path) -> None:
        if path.parent != tmp_path and path != tmp_path:
            return bring(path)
        time.sleep(SLOW_S)
        bring(path)
        story.append((path.name, (tmp_path / "state.pt").stat().st_ino))
        return None

    def noted(trainer: object, directory: Path, wait: bool = True) -> None:
        save(trainer, directory, wait)  # type: ignore[arg-type]
        story.append(("saved", (directory / "state.pt").stat().st_ino))

    monkeypatch.setattr(checkpoint, "to_disk", slow)
    monkeypatch.setattr(checkpoint, "save_state", noted)
    messages = list(run_trial(Job(0, CONFIG.to_dict(), str(tmp_path)), CONFIG.data.load()))
    assert messages[-1].state == "COMPLETE"
    time.sleep(4 * SLOW_S)  # the last epoch's
    names = [name for name, _ in story]
    assert names == ["saved", "messages.jsonl", "state.pt", tmp_path.name] * EPOCHS
    for first in range(0, len(story), 4):
        assert len({file for _, file in story[first : first + 4]}) == 1, "the file that was saved, and not the next"


def test_a_state_that_is_not_on_the_disk_never_takes_the_place_of_the_one_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four states the first is; each of the others fails, and is said."""
    bring, durable = checkpoint.to_disk, []

    def fails(path: Path) -> None:
        if path.name == "state.pt" and durable:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        bring(path)
        if path.name == "state.pt":
            durable.append(path.stat().st_ino)

    monkeypatch.setattr(checkpoint, "to_disk", fails)
    monkeypatch.setattr(worker, "PAUSE_S", 0.01)
    told = []
    for message in run_trial(Job(0, CONFIG.to_dict(), str(tmp_path)), CONFIG.data.load()):
        told.append(message.kind)
        if message.kind == "epoch" and message.epoch > 1:
            assert (tmp_path / "state.previous.pt").stat().st_ino == durable[0]
    assert told == ["start", "epoch", "epoch", *["notice", "epoch"] * 2, "final", "end"]


def test_a_disk_that_is_full_only_when_it_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network's file system; the trial says so and goes on."""
    bring, left = checkpoint.to_disk, ["once"]

    def full(path: Path) -> None:
        if path.name == "state.pt" and left:
            left.pop()
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        bring(path)

    monkeypatch.setattr(checkpoint, "to_disk", full)
    messages = list(run_trial(Job(0, CONFIG.to_dict(), str(tmp_path)), CONFIG.data.load()))
    assert [message.kind for message in messages].count("notice") == 1
    assert [message.epoch for message in messages if message.kind == "epoch"] == list(range(1, EPOCHS + 1))
    assert messages[-1].state == "COMPLETE"
    state = checkpoint.load_state(tmp_path)
    assert state is not None
    assert len(state["history"]) == EPOCHS
