"""A trial inside its worker: from a job to a stream of messages, with a checkpoint behind each epoch."""

from __future__ import annotations

import functools
import json
import os
import socket
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from orchestration.disk import DiskWait
from orchestration.importing import uncollected
from orchestration.lineage import drop_ancestors, is_own, take_over
from orchestration.messages import Job, Message
from orchestration.patience import PAUSE_S, no_room
from orchestration.pictures import keep_pictures

if TYPE_CHECKING:
    from vae_core.config import TrialConfig
    from vae_core.data.config import AnyData
    from vae_core.data.images import ImageData
    from vae_core.data.text import TextData
    from vae_core.model import VAE
    from vae_core.trainer import Record, Trainer

T = TypeVar("T")

ARTIFACTS, TRACEBACK = "artifacts", "traceback.txt"
_STORY = "messages.jsonl"


def run_trial(job: Job, data: TextData | ImageData | None) -> Generator[Message]:
    """Trains and scores one trial; the last message is always of kind "end", and no exception leaves.

    A directory that holds a checkpoint is gone on from: the messages up to it are said again with their first
    timestamps, then training continues. The caller stops a trial by not asking for the next message.

    Args:
        data: the loaded data set, shared between trials; None where it differs from trial to trial.
    """
    try:
        yield from _train(job, data)
    except Exception as error:  # a trial's fault must never end the sweep
        reason, story = f"{type(error).__name__}: {error}", traceback.format_exc()
        artifacts = Path(job.directory) / ARTIFACTS

        def keep() -> None:
            artifacts.mkdir(parents=True, exist_ok=True)
            (artifacts / TRACEBACK).write_text(story)

        yield from _when_there_is_room(keep, artifacts)
        yield Message("end", timestamp_ms=_now_ms(), state="FAILED", reason=reason)


def _train(job: Job, shared: TextData | ImageData | None) -> Iterator[Message]:
    with uncollected():
        import torch

        from vae_core.checkpoint import STATE, CheckpointError, load_state, save_state
        from vae_core.config import TrialConfig
        from vae_core.data.batching import require_batch
        from vae_core.pictures import picture_epochs
        from vae_core.trainer import Trainer

    torch.set_num_threads(1)
    started_s = time.monotonic()  # libraries, which the first trial of a worker loads for all, are not its time
    directory = Path(job.directory)
    yield from _when_there_is_room(lambda: directory.mkdir(parents=True, exist_ok=True), directory)
    config = TrialConfig.from_dict(job.config)
    data = shared
    if data is None:
        data = yield from _when_there_is_room(lambda: _load(config.data), "the copies of the data")
    require_batch(data, config.training.batch_size)
    device = job.device
    if device == "cuda" and not torch.cuda.is_available():
        device = "cpu"
        reason = f"it has a GPU of Ray's, but torch sees none on {socket.gethostname()}: it trains on the CPU"
        yield Message("notice", timestamp_ms=_now_ms(), reason=reason)
    trainer = Trainer(config, data, device=device)
    yield Message("start", timestamp_ms=_now_ms(), facts=_facts(trainer, data))

    damage: list[str] = []
    try:
        state = load_state(directory, damage.append)
    except CheckpointError as error:
        state = None
        damage.append(f"{error}; the trial is trained again from its beginning")
    for fault in damage:
        yield Message("notice", timestamp_ms=_now_ms(), reason=fault)
    since = 0
    if len(job.schedule) > 1:
        since = job.schedule[-1]["from_epoch"]
        if not is_own(state, since):
            state = None
            yield from take_over(trainer, job, data)
    if state is not None:
        trainer.load_state_dict(state)
    drawn = picture_epochs(config)
    story = yield from _when_there_is_room(lambda: _Story(directory, trainer.history, since), directory)
    yield from story.told
    started_s -= story.seconds
    on_disk = DiskWait()

    def save() -> None:
        try:
            on_disk.end()  # the state before: of the two that are kept, one always outlasts a power cut
        except OSError:
            (directory / STATE).unlink(missing_ok=True)  # it does not, and must not take the place of the one that does
            raise
        save_state(trainer, directory, wait=False)
        on_disk.begin([story.path, directory / STATE, directory])

    for record in trainer.run():
        metrics = record.metrics
        if record.final:
            write = functools.partial(write_artifacts, trainer.model, config, data, metrics, directory / ARTIFACTS)
            metrics = yield from _when_there_is_room(write, directory)
        shown: Path | None = None
        if not record.final and record.epoch in drawn:
            draw = functools.partial(_draw, trainer, data, directory, record.epoch, _now_ms())
            shown = yield from _when_there_is_room(draw, directory)
        message = Message(
            "final" if record.final else "epoch",
            epoch=record.epoch,
            timestamp_ms=_now_ms(),
            seconds=time.monotonic() - started_s,
            metrics=metrics,
            annealed=record.annealed,
            pictures="" if shown is None else str(shown.absolute()),
        )
        if not record.final:
            yield from _when_there_is_room(functools.partial(story.append, message), directory)
            yield from _when_there_is_room(save, directory)
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


def _draw(trainer: Trainer, data: TextData | ImageData, directory: Path, epoch: int, now_ms: int) -> Path:
    """The directory of the epoch's pictures."""
    from vae_core.generate import scale_of
    from vae_core.pictures import pictures

    assert data.modality == "image"
    config = trainer.config
    made = pictures(trainer.model, config, data)
    return keep_pictures(made, directory, config.fingerprint(), epoch, now_ms, scale_of(data.shape))


def write_artifacts(
    model: VAE[Any], config: TrialConfig, data: TextData | ImageData, scores: dict[str, float], directory: Path
) -> dict[str, float]:
    """Writes what a finished trial keeps, and gives its final scores with those of the diagnosis."""
    from vae_core.attributes import write_attributes
    from vae_core.checkpoint import save_model
    from vae_core.code_map import write_codes
    from vae_core.diagnosis import write_diagnosis
    from vae_core.samples import write_samples

    save_model(model, config, data, directory / "checkpoint")
    write_samples(model, config, data, directory / "samples")
    write_attributes(model, config, data, directory / "samples")
    write_codes(model, config, data, directory / "latent")
    return scores | write_diagnosis(model, config, data, scores, directory / "diagnosis")


def _when_there_is_room(write: Callable[[], T], what: object) -> Generator[Message, None, T]:
    """What ``write`` returns, after a notice a second for as long as the disk of ``what``, such as a directory, was full."""
    while True:
        try:
            return write()
        except Exception as error:  # of whatever library was writing
            if not no_room(error):
                raise
            reason = f"no room is left on the disk of {what}; the trial waits and goes on by itself"
            yield Message("notice", timestamp_ms=_now_ms(), reason=reason)
            time.sleep(PAUSE_S)


class _Story:
    """The messages of a trial's epochs, each written before the checkpoint that it belongs to.

    Args:
        history: the checkpoint's records. A line without its checkpoint was never sent, and its epoch will be trained
            again; a torn or missing line's message is made anew.
        since: the epochs up to this one may be another trial's in the history; the lines have the trial's own, and they alone.
    """

    def __init__(self, directory: Path, history: Sequence[Record], since: int = 0) -> None:
        self.path = directory / _STORY
        lines = self.path.read_text(errors="replace").splitlines() if self.path.exists() else []
        kept = {message.epoch: message for message in map(_parse, lines) if message is not None}
        seconds = 0.0
        self.told: list[Message] = []
        for record in history:
            message = kept.get(record.epoch)
            if message is None and record.epoch <= since:
                continue
            message = message or _message_of(record, seconds)
            self.told.append(message)
            seconds = message.seconds
        temporary = self.path.with_name(f".{_STORY}.part")
        temporary.write_text("".join(message.to_json() + "\n" for message in self.told))
        temporary.replace(self.path)

    @property
    def seconds(self) -> float:
        """What earlier attempts took."""
        return self.told[-1].seconds if self.told else 0.0

    def append(self, message: Message) -> None:
        with self.path.open("a") as file:
            before = file.tell()
            try:
                file.write(message.to_json() + "\n")
                file.flush()
            except OSError:
                os.truncate(self.path, before)
                raise


def _message_of(record: Record, seconds: float) -> Message:
    return Message("epoch", record.epoch, _now_ms(), seconds, record.metrics, record.annealed)


def _parse(line: str) -> Message | None:
    try:
        return Message.from_json(line)
    except (json.JSONDecodeError, TypeError):
        return None


@functools.lru_cache(maxsize=2)
def _load(config: AnyData) -> TextData | ImageData:
    """Data that differs from trial to trial, kept for the next trial of this worker."""
    return config.load()


def _facts(trainer: Trainer, data: TextData | ImageData) -> dict[str, str]:
    import torch

    from vae_core.data.describe import describe
    from vae_core.plugins import installed

    plugins = ", ".join(f"{name} {version}" for name, version in installed().items())
    return {
        "data.fingerprint": data.fingerprint,
        "dataset": json.dumps(describe(data, trainer.config.data)),
        "worker": f"{socket.gethostname()}/{os.getpid()}",
        "threads": str(torch.get_num_threads()),
        "torch": str(torch.__version__),
        "device": torch.cuda.get_device_name() if trainer.device.type == "cuda" else "cpu",
        "steps": str(trainer.total_steps),
        "kl": trainer.model.kl_kind,
        "scores": "p(x)" if trainer.model.condition is None else "p(x|y)",
        **({"plugins": plugins} if plugins else {}),
    }


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def drop_checkpoint(directory: Path) -> None:
    """Removes what only a trial that goes on needs; its artifacts stay."""
    for path in (*directory.glob("state*"), *directory.glob(".state*.part"), directory / _STORY):
        path.unlink(missing_ok=True)
    drop_ancestors(directory)


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
