"""What one trial costs, measured on a few steps and a few examples of its own data, and carried on to the whole.

Everything that a worker does for a trial is done once, at least in part: building, steps, validation, checkpoints, final scores,
artifacts. Import this only in a process that may load torch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from orchestration.planning.cost import Cost
from orchestration.worker import write_artifacts

if TYPE_CHECKING:
    import torch

    from vae_core.config import TrialConfig
    from vae_core.model import Data
    from vae_core.trainer import Trainer

Result = TypeVar("Result")

_SHARES = {"steps": 0.4, "validation": 0.15, "importance": 0.15}
"""Of the time given; checkpoints and artifacts take what they take."""


def measure(config: TrialConfig, data: Data, device: str, seconds: float, directory: Path, loading_s: float = 0.0) -> Cost:
    """Measures one trial for about so long, longer where a single step of each part takes longer.

    Args:
        directory: empty; for checkpoint and artifacts.
        loading_s: of the data, where each trial loads its own.

    Raises:
        ValueError, RuntimeError: the trial cannot be made or trained, as it would not in the sweep.
    """
    import torch

    from vae_core.checkpoint import STATE, save_state
    from vae_core.trainer import Trainer

    begun_s, begun_core_s = time.perf_counter(), time.process_time()
    build = partial(Trainer, config, data, device=device)
    _, first_s = _timed(torch.device(device), build)  # with what torch puts off until then
    trainer, build_s = _timed(torch.device(device), build)
    steps, steps_s = trainer.rehearse(seconds * _SHARES["steps"])
    per_example_s, information_s, share = _validation(trainer, data, seconds * _SHARES["validation"])
    _, checkpoint_s = _timed(trainer.device, lambda: save_state(trainer, directory, wait=False))
    importance_s, importance_measured = _importance(trainer, data, seconds * _SHARES["importance"])
    _, artifacts_s = _timed(trainer.device, lambda: _artifacts(trainer, data, directory / "artifacts"))
    sizes = {split: len(data.splits[split]) for split in ("valid", "test")}
    return Cost(
        weights=sum(weight.numel() for weight in trainer.model.parameters()),
        steps_per_epoch=trainer.steps_per_epoch,
        annealing_end=trainer.annealing_end,
        worker_s=max(0.0, first_s - build_s),
        start_s=build_s + loading_s,
        step_s=steps_s / steps,
        steps_measured=steps,
        validation_s=sizes["valid"] * per_example_s + information_s(sizes["valid"]),
        validation_measured=share,
        checkpoint_s=checkpoint_s,
        final_s=sizes["test"] * per_example_s + information_s(sizes["test"]) + importance_s + artifacts_s,
        importance_s=importance_s,
        importance_measured=importance_measured,
        checkpoint_bytes=(directory / STATE).stat().st_size,
        artifact_bytes=sum(file.stat().st_size for file in (directory / "artifacts").rglob("*") if file.is_file()),
        gpu_peak_bytes=_gpu_peak(device),
        measured_s=time.perf_counter() - begun_s,
        core_share=(time.process_time() - begun_core_s) / (time.perf_counter() - begun_s),
    )


def excerpt(data: Data, split: str, index: np.ndarray[Any, Any]) -> Data:
    """The same data, with only these examples in one split."""
    from vae_core.data.ragged import Ragged
    from vae_core.data.text import TextData, TextSplit

    if isinstance(data, TextData):
        text = data.splits[split]
        taken = Ragged(text.tokens, text.offsets, text.labels).take(index, int(text.lengths.max()))
        return replace(data, splits={**data.splits, split: TextSplit(*taken)})
    images = data.splits[split]
    part = replace(images, pixels=images.pixels[index], labels=None if images.labels is None else images.labels[index])
    return replace(data, splits={**data.splits, split: part})


def _validation(trainer: Trainer, data: Data, seconds: float) -> tuple[float, Callable[[int], float], float]:
    """Seconds an example, seconds of the mutual information of so many examples, and the share of the split that was scored."""
    from vae_core.codes import encode_split
    from vae_core.estimators import mutual_information
    from vae_core.evaluate import MUTUAL_INFORMATION_EXAMPLES, evaluate
    from vae_core.trainer import EVALUATION_BATCH

    model, n = trainer.model, len(data.splits["valid"])
    plan = data.plan("valid", EVALUATION_BATCH, None)

    def score(batches: int) -> tuple[Data, float]:
        chosen = [plan[(2 * place + 1) * len(plan) // (2 * batches)] for place in range(batches)]
        part = excerpt(data, "valid", np.concatenate(chosen))
        return part, _timed(trainer.device, lambda: evaluate(model, part, "valid", EVALUATION_BATCH, 0))[1]

    evaluate(model, excerpt(data, "valid", plan[-1]), "valid", EVALUATION_BATCH, 0)  # the longest, for their memory
    part, scored_s = score(1)
    if (batches := min(len(plan), int(seconds / scored_s))) > 1:
        part, scored_s = score(batches)
    taken = len(part.splits["valid"])
    codes = encode_split(model, part, "valid", EVALUATION_BATCH, 0)
    most = min(MUTUAL_INFORMATION_EXAMPLES, max(len(data.splits[split]) for split in ("valid", "test")))
    repeated = np.arange(most) % taken
    posterior = codes.posterior.map(lambda parameter: parameter[repeated])
    _, whole_s = _timed(trainer.device, lambda: mutual_information(posterior, codes.z[repeated]))

    def information_s(examples: int) -> float:
        return whole_s * (min(examples, MUTUAL_INFORMATION_EXAMPLES) / most) ** 2  # quadratic in the examples

    return max(scored_s - information_s(taken), 0.0) / taken, information_s, taken / n


def _importance(trainer: Trainer, data: Data, seconds: float) -> tuple[float, int]:
    """Seconds of the importance-weighted bound, and the examples that it was computed on."""
    from vae_core.evaluate import importance_weighted

    config, n = trainer.config.evaluation, len(data.splits["test"])
    wanted = n if config.importance_examples is None else min(n, config.importance_examples)

    def score(examples: int) -> float:
        samples = config.importance_samples
        work = partial(importance_weighted, trainer.model, data, "test", samples=samples, examples=examples)
        return _timed(trainer.device, work)[1]

    taken = min(wanted, 2)
    taken_s = score(taken)
    if (more := min(wanted, int(taken * seconds / taken_s))) > taken:
        taken, taken_s = more, score(more)
    return taken_s * wanted / taken, taken


def _artifacts(trainer: Trainer, data: Data, directory: Path) -> None:
    """What a worker writes for a finished trial; scores that are not known yet are 0."""
    scores = dict.fromkeys(("test/distortion", "test/rate", "test/neg_elbo"), 0.0)
    write_artifacts(trainer.model, trainer.config, data, scores, directory)


def _timed(device: torch.device, work: Callable[[], Result]) -> tuple[Result, float]:
    from vae_core.trainer import clock_s

    started_s = clock_s(device)
    result = work()
    return result, max(clock_s(device) - started_s, 1e-6)


def _gpu_peak(device: str) -> int:
    import torch

    return int(torch.cuda.max_memory_reserved()) if device != "cpu" else 0
