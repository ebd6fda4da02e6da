"""A trial inside its worker: from a job to a stream of messages, with a checkpoint behind each epoch."""

from __future__ import annotations

import functools
import json
import os
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.messages import Job, Message

if TYPE_CHECKING:
    from vae_core.config import TrialConfig
    from vae_core.data.config import AnyData
    from vae_core.data.images import ImageData
    from vae_core.data.text import TextData
    from vae_core.trainer import Trainer

ARTIFACTS = "artifacts"
_STORY = "messages.jsonl"


def run_trial(job: Job, data: TextData | ImageData | None) -> Iterator[Message]:
    """Trains and scores one trial; the last message is always of kind "end", and no exception leaves.

    A directory that holds a checkpoint is gone on from: the messages up to it are said again with their first
    timestamps, then training continues. The caller stops a trial by not asking for the next message.

    Args:
        data: the loaded data set, shared between trials; None where it differs from trial to trial.
    """
    try:
        yield from _train(job, data)
    except Exception as error:  # a trial's fault must never end the sweep
        reason = f"{type(error).__name__}: {error}"
        artifacts = Path(job.directory) / ARTIFACTS
        artifacts.mkdir(parents=True, exist_ok=True)
        (artifacts / "traceback.txt").write_text(traceback.format_exc())
        yield Message("end", timestamp_ms=_now_ms(), state="FAILED", reason=reason)


def _train(job: Job, shared: TextData | ImageData | None) -> Iterator[Message]:
    import torch

    from vae_core.checkpoint import load_state, save_model, save_state
    from vae_core.config import TrialConfig
    from vae_core.data.batching import require_batch
    from vae_core.generate import write_samples
    from vae_core.trainer import Trainer

    torch.set_num_threads(1)
    started_s = time.monotonic()
    directory = Path(job.directory)
    directory.mkdir(parents=True, exist_ok=True)
    config = TrialConfig.from_dict(job.config)
    data = shared if shared is not None else _load(config.data)
    require_batch(data, config.training.batch_size)
    trainer = Trainer(config, data, device=job.device)
    yield Message("start", timestamp_ms=_now_ms(), facts=_facts(trainer, data.fingerprint))

    state = load_state(directory)
    if state is not None:
        trainer.load_state_dict(state)
    story = _Story(directory, last_epoch=len(trainer.history))
    yield from story.told
    started_s -= story.seconds
    for record in trainer.run():
        if record.final:
            save_model(trainer.model, config, data, directory / ARTIFACTS / "checkpoint")
            write_samples(trainer.model, config, data, directory / ARTIFACTS / "samples")
        message = Message(
            "final" if record.final else "epoch",
            epoch=record.epoch,
            timestamp_ms=_now_ms(),
            seconds=time.monotonic() - started_s,
            metrics=record.metrics,
            annealed=record.annealed,
        )
        if not record.final:
            story.append(message)
            save_state(trainer, directory)
        yield message
    outcome = trainer.outcome
    assert outcome is not None
    yield Message(
        "end",
        epoch=len(trainer.history),
        timestamp_ms=_now_ms(),
        seconds=time.monotonic() - started_s,
        state=outcome.state,
        reason="" if outcome.reason == "epochs" else outcome.reason,  # the ordinary end needs no word
    )


class _Story:
    """The messages of a trial's epochs, on disk before the checkpoint that they belong to."""

    def __init__(self, directory: Path, last_epoch: int) -> None:
        self._path = directory / _STORY
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        # A line without its checkpoint was never sent, and its epoch will be trained again; a torn line likewise.
        self.told = [message for message in map(_parse, lines) if message is not None and message.epoch <= last_epoch]
        self._path.write_text("".join(message.to_json() + "\n" for message in self.told))

    @property
    def seconds(self) -> float:
        """What earlier attempts took."""
        return self.told[-1].seconds if self.told else 0.0

    def append(self, message: Message) -> None:
        with self._path.open("a") as file:
            file.write(message.to_json() + "\n")
            file.flush()
            os.fsync(file.fileno())  # the checkpoint that follows is synced too, and must not outlive its line


def _parse(line: str) -> Message | None:
    try:
        return Message.from_json(line)
    except (json.JSONDecodeError, TypeError):
        return None


@functools.lru_cache(maxsize=2)
def _load(config: AnyData) -> TextData | ImageData:
    """Data that differs from trial to trial, kept for the next trial of this worker."""
    return config.load()


def _facts(trainer: Trainer, data_fingerprint: str) -> dict[str, str]:
    import torch

    return {
        "data.fingerprint": data_fingerprint,
        "threads": str(torch.get_num_threads()),
        "torch": str(torch.__version__),
        "device": torch.cuda.get_device_name() if trainer.device.type == "cuda" else "cpu",
        "steps": str(trainer.total_steps),
    }


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def drop_checkpoint(directory: Path) -> None:
    """Removes what only a trial that goes on needs; its artifacts stay."""
    for path in (*directory.glob("state*"), directory / _STORY):
        path.unlink(missing_ok=True)


def has_checkpoint(directory: Path) -> bool:
    """Whether the trial can be gone on with."""
    return any(directory.glob("state*"))


def load_shared(config: TrialConfig) -> TextData | ImageData:
    """Loads the data set that all trials share, and checks that it fills a batch.

    Raises:
        DataError: it is missing, unreadable or too small; a user's mistake.
    """
    from vae_core.data.batching import require_batch

    data = config.data.load()
    require_batch(data, config.training.batch_size)
    return data
