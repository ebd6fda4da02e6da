"""A trial that goes on from another's weights: what it descends from, where the state to take over lies, and how it is had again.

A trial's schedule is a chain of stints, each trained by one member of a population under one set of parameters, from where the
stint before it ended. The chain alone makes the trial: where no state is left of it, it is trained again from its first epoch.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.messages import Job, Message
from orchestration.spec.search_space import Assignment, merged

if TYPE_CHECKING:
    from vae_core.config import TrialConfig
    from vae_core.data.images import ImageData
    from vae_core.data.text import TextData
    from vae_core.trainer import Trainer

_STATE = "state.pt"


@dataclass(frozen=True)
class Stint:
    """A stretch of training, to where the next one begins."""

    from_epoch: int
    """Epochs that lie before it."""
    number: int
    """The member of the population that trained it."""
    parameters: Assignment

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


Schedule = tuple[Stint, ...]


def schedule_of(plain: Sequence[dict[str, Any]]) -> Schedule:
    """From plain dicts."""
    return tuple(Stint(**stint) for stint in plain)


def owners(schedule: Schedule, epochs: int) -> dict[int, int]:
    """Who trained each of the epochs that lie in the chain, from 1."""
    ends = [*(stint.from_epoch for stint in schedule[1:]), epochs]
    spans = zip(schedule, ends, strict=True)
    return {epoch: stint.number for stint, end in spans for epoch in range(stint.from_epoch + 1, end + 1)}


def handed_over(directory: Path, epoch: int) -> Path:
    """Where a trial finds the state that it takes over at the end of an epoch; ``drop_checkpoint`` removes it."""
    return directory / f"state.from-{epoch}.pt"


def hand_over(donor: Path, taker: Path, epoch: int) -> None:
    """Keeps the donor's state as it is now for the taker: the donor will go on, and the taker may have to wait.

    A state that is not there is no fault: the taker then trains its ancestors again.
    """
    target = handed_over(taker, epoch)
    temporary = target.with_name(f".{target.name}.part")
    with contextlib.suppress(OSError):
        taker.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        try:
            os.link(donor / _STATE, temporary)  # a state is replaced, never written to
        except OSError:  # a file system without links
            shutil.copyfile(donor / _STATE, temporary)
        temporary.replace(target)
        for older in taker.glob("state.from-*.pt"):
            if older != target:
                older.unlink(missing_ok=True)


def is_own(state: dict[str, Any] | None, since: int) -> bool:
    """Whether a trial's state lies in its last stint, from this epoch on; one before belongs to weights that it has given up."""
    return state is not None and len(state["history"]) > since


def take_over(trainer: Trainer, job: Job, data: TextData | ImageData) -> Generator[Message]:
    """Puts the trainer to the beginning of the job's last stint.

    Raises:
        ValueError: the parameters of its stints differ in what cannot change in the middle of a training.
    """
    from vae_core.checkpoint import CheckpointError, read_state

    schedule = schedule_of(job.schedule)
    before, last = _config(job, schedule[-2]), schedule[-1]
    path = handed_over(Path(job.directory), last.from_epoch)
    state = None
    try:
        state = read_state(path) if path.exists() else None
        if state is not None and (state["config"] != before.fingerprint() or len(state["history"]) != last.from_epoch):
            state = None
        fault = "is missing, or another's"
    except CheckpointError as error:
        fault = f"cannot be read ({error})"
    if state is None:
        if path.parent.exists() and any(path.parent.iterdir()):  # not where a record is trained again
            reason = f"the state to go on from {fault}; its {last.from_epoch} epochs are trained again"
            yield Message("notice", reason=reason)
        state = yield from _ancestors(trainer, job, schedule, data)
    trainer.take_over(state, before)


def _ancestors(
    trainer: Trainer, job: Job, schedule: Schedule, data: TextData | ImageData
) -> Generator[Message, None, dict[str, Any]]:
    """Trains all stints but the last; the state that they end with."""
    from vae_core.trainer import Trainer

    state: dict[str, Any] | None = None
    before: TrialConfig | None = None
    for stint, following in pairwise(schedule):
        config = _config(job, stint)
        ancestor = Trainer(config, data, device=trainer.device)
        if state is not None and before is not None:
            ancestor.take_over(state, before)
        for record in ancestor.run():
            yield Message("ancestor", epoch=record.epoch, metrics=record.metrics, annealed=record.annealed)
            if record.epoch == following.from_epoch:
                break
        state, before = ancestor.state_dict(), config
        assert len(state["history"]) == following.from_epoch, "it came to the barrier once"
    assert state is not None
    return state


def _config(job: Job, stint: Stint) -> TrialConfig:
    from vae_core.config import TrialConfig

    return TrialConfig.from_dict(merged(job.config, stint.parameters))
