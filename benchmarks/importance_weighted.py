"""The importance-weighted bound of a text VAE against plain PyTorch: time, memory, and stopping at a standard error.

    python -m benchmarks.importance_weighted [--data DIR] [--samples 50] [--examples 64] [--rounds 5]

LSTM 256/256, latent 32, full softmax, first weights; DIR holds train.txt, valid.txt and test.txt, such as WikiText-2 (V is 10,000
there); without it the Python documentation, whose V is smaller. Test sentences, the same on all sides, with the same noise, so
that the bounds must agree. The plain sides, in ``benchmarks/plain``: sentences in batches of 16 as they come, padded, decoded
once for each of K samples; and each sentence by itself, its samples decoded at once, whatever memory that takes.

Memory is what the process holds at most while it scores, above what it held before, in a fresh process for each bound.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor

from benchmarks.measure import as_a_worker, machine, peak_mebibytes, take_turns
from benchmarks.plain.evaluation import all_at_once, one_by_one
from benchmarks.plain.text import PlainTextVae
from vae_core.config import TrialConfig
from vae_core.data.text import TextData
from vae_core.evaluate import _choose, _noise, importance_weighted
from vae_core.model import VAE, build_model
from vae_core.seeding import make_generator

BATCH = 16
TOLERANCE = 1e-5
BOUNDS_MIB = (8, 128)
"""The second is the default."""

Plain = Callable[[PlainTextVae, Tensor, Tensor, Tensor, Tensor], Tensor]


def load(folder: Path | None) -> tuple[VAE[Any], TextData]:
    """The model with its first weights, and the data."""
    files = {split: str(folder / f"{split}.txt") for split in ("train", "valid", "test")} if folder else {}
    source = {"kind": "text_file", "unit": "sentence", **files} if files else {"kind": "python_docs"}
    model = {"encoder": {"kind": "lstm"}, "decoder": {"kind": "lstm"}, "latent": {"kind": "gaussian", "size": 32}}
    config = TrialConfig.from_dict({"data": source, "model": model})
    data = config.data.load()
    assert isinstance(data, TextData)
    return build_model(config, data, make_generator(0, "init")), data


class PlainSide:
    """The same sentences in the order in which the split has them."""

    def __init__(self, model: VAE[Any], data: TextData, index: np.ndarray, samples: int) -> None:
        words = data.vocabulary
        self.model = PlainTextVae(len(words.words), 256, 256, model.latent_size, words.pad)
        self.model.take_weights(model)
        order = np.sort(index)
        self.batches, self.single = ([self._batch(data, part, samples) for part in _cut(order, size)] for size in (BATCH, 1))

    def score(self, bound: Plain, batches: list[tuple[Tensor, ...]]) -> float:
        """The mean bound."""
        return float(torch.cat([bound(self.model, *batch) for batch in batches]).mean())

    def _batch(self, data: TextData, index: np.ndarray, samples: int) -> tuple[Tensor, ...]:
        batch = data.batch("test", index)
        noise = torch.cat(list(_noise(index, samples, self.model.start.in_features, 0, samples)))
        return batch.inputs, batch.targets, batch.lengths, noise


def _cut(order: np.ndarray, size: int) -> list[np.ndarray]:
    return np.split(order, range(size, len(order), size))


def peak_mib(folder: Path | None, samples: int, examples: int, bound_mib: int) -> float:
    """Of our scoring under this bound, in a fresh process that has model and data."""
    context = multiprocessing.get_context("spawn")
    queue: Any = context.SimpleQueue()
    child = context.Process(target=_measure_peak, args=(folder, samples, examples, bound_mib, queue))
    child.start()
    child.join()
    if child.exitcode:
        raise SystemExit(f"scoring within {bound_mib} MiB ended with exit code {child.exitcode}")
    return float(queue.get())


def _measure_peak(folder: Path | None, samples: int, examples: int, bound_mib: int, queue: Any) -> None:
    torch.set_num_threads(1)
    model, data = load(folder)
    importance_weighted(model, data, "test", samples=1, examples=1)  # libraries that load on first use
    before = peak_mebibytes()
    importance_weighted(model, data, "test", samples=samples, examples=examples, max_bytes=bound_mib * 2**20)
    queue.put(peak_mebibytes() - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, help="a folder of text")
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--examples", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    as_a_worker("benchmarks.importance_weighted")
    model, data = load(given.data)
    index = _choose(data, "test", given.examples)
    print(machine())
    print(f"{data.name}, V = {len(data.vocabulary.words)}: {len(index)} test sentences, K = {given.samples}")
    plain = PlainSide(model, data, index, given.samples)
    found: dict[str, float] = {}

    def ours() -> None:
        found["ours"] = importance_weighted(model, data, "test", samples=given.samples, examples=given.examples).nll

    def loop() -> None:
        found["sample by sample"] = plain.score(one_by_one, plain.batches)

    def at_once() -> None:
        found["sentence by sentence"] = plain.score(all_at_once, plain.single)

    timings = take_turns({"ours": ours, "sample by sample": loop, "sentence by sentence": at_once}, given.rounds)
    apart = max(abs(value / found["ours"] - 1) for value in found.values())
    if apart > TOLERANCE:
        raise SystemExit(f"the sides do not compute the same: {found}")
    print(f"bounds agree to {apart:.0e}\n")
    first = timings["ours"]
    rows = [(name, at.cpu, at.cpu / first.cpu, at.wall / first.wall) for name, at in timings.items()]
    print(tabulate(rows, ("side", "s CPU", "ours is faster, CPU", "wall"), tablefmt="github", floatfmt=("", ".2f", ".2f", ".2f")))
    print()
    for bound in BOUNDS_MIB:
        peak = peak_mib(given.data, given.samples, given.examples, bound)
        print(f"bounded by {bound} MiB: {peak:.0f} MiB at most")
    whole = importance_weighted(model, data, "test", samples=5, examples=1024)
    print(f"\nK = 5 on {whole.n} sentences: {whole.nll:.2f} ± {whole.se:.2f}")
    for wanted in (4 * whole.se, 2 * whole.se):
        part = importance_weighted(model, data, "test", samples=5, examples=1024, standard_error=wanted)
        print(f"stopped at a standard error of {wanted:.2f}: {part.nll:.2f} ± {part.se:.2f} of {part.n} sentences")


if __name__ == "__main__":
    main()
