"""A trial that goes on from another's weights: what it descends from, where the state to take over lies, and how it is had again.

A trial's schedule is a chain of stints, each trained by one member of a population under one set of parameters, from where the
stint before it ended. The chain alone makes the trial: where no state is left of it, it is trained again from its first epoch.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Generator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dashboards.schedules import Schedule, Stint, schedule_of
from orchestration.messages import Job, Message
from orchestration.patience import no_room

if TYPE_CHECKING:
    from vae_core.config import TrialConfig
    from vae_core.data.images import ImageData
    from vae_core.data.text import TextData
    from vae_core.trainer import Trainer

_STATE = "state.pt"

_ANCESTORS = "ancestors-"
"""Before the epoch of a barrier: where a trial keeps the state of the ancestors that it trains again from there back."""


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
        temporary.unlink(missing_ok=True)  # where both were links to one state, replacing has done nothing
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
    """Trains all stints but the last, from where an attempt that was killed had got to; the state that they end with."""
    from vae_core.trainer import Trainer

    directory = Path(job.directory) / f"{_ANCESTORS}{schedule[-1].from_epoch}"
    state = _kept(directory)
    before: TrialConfig | None = None
    for stint, following in pairwise(schedule):
        config = _config(job, stint)
        trained = 0 if state is None else len(state["history"])
        if trained < following.from_epoch:
            ancestor = Trainer(config, data, device=trainer.device)
            if state is not None and trained > stint.from_epoch:
                ancestor.load_state_dict(state)
            elif state is not None and before is not None:
                ancestor.take_over(state, before)
            for record in ancestor.run():
                yield Message("ancestor", epoch=record.epoch, metrics=record.metrics, annealed=record.annealed)
                _keep(ancestor, directory)
                if record.epoch == following.from_epoch:
                    break
            state = ancestor.state_dict()
        before = config
    assert state is not None
    assert len(state["history"]) == schedule[-1].from_epoch, "it came to the barrier once"
    return state


def _kept(directory: Path) -> dict[str, Any] | None:
    """The state that the ancestors have got to; None where there is none that can be read."""
    from vae_core.checkpoint import CheckpointError, load_state

    try:
        return load_state(directory)
    except CheckpointError:
        return None


def _keep(ancestor: Trainer, directory: Path) -> None:
    """Without room for it, a kill costs more time, and nothing else."""
    from vae_core.checkpoint import save_state

    try:
        save_state(ancestor, directory)
    except Exception as error:  # of whatever library was writing
        if not no_room(error):
            raise


def drop_ancestors(directory: Path) -> None:
    """Removes what only a trial that goes on needs."""
    for path in directory.glob(f"{_ANCESTORS}*"):
        shutil.rmtree(path, ignore_errors=True)


def _config(job: Job, stint: Stint) -> TrialConfig:
    from orchestration.spec.search_space import merged
    from vae_core.config import TrialConfig

    return TrialConfig.from_dict(merged(job.config, stint.parameters))
