"""Our training against a plain PyTorch loop of the same model: time for the same examples, and equal losses on equal batches.

    python -m benchmarks.trainer text [--data DIR] [--steps 50] [--rounds 5]
    python -m benchmarks.trainer image [--images mnist.npz] [--steps 400] [--rounds 5]

Text: LSTM 256/256, latent 32, full softmax, batch 32; DIR holds train.txt, valid.txt and test.txt, such as WikiText-2 (V is
10,000 there); without it the Python documentation, whose V is smaller. Image: 784-400-20, batch 64, binarised once; without a
file images of noise, of which the speed knows nothing.

A round is one pass of each side over the same examples, in as many steps. The plain side is in ``benchmarks/plain``: a list of
examples, a ``DataLoader`` that shuffles, and pads what it has drawn, torch's Adam with its defaults, float32. Ours is the
trainer's own epoch, with its records. Their batches differ, for ours are of like length; hence, first, the same weights take the
same batches, padding and noise on either side: the losses of all these steps must agree, and their ratio is printed too.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate
from torch import Generator, Tensor, nn
from torch.nn.utils import clip_grad_norm_

from benchmarks.measure import Timing, as_a_worker, machine, take_turns
from benchmarks.plain import image, text
from vae_core.config import TrialConfig
from vae_core.data.images import ImageData, ImageSplit
from vae_core.data.ragged import Ragged
from vae_core.data.text import TextData, TextSplit
from vae_core.model import Data
from vae_core.seeding import make_generator
from vae_core.trainer import Trainer

BATCH = {"text": 32, "image": 64}
CLIP = {"text": 5.0, "image": None}
TOLERANCE = 1e-4
"""Relative, of a loss after the steps: the two add the same numbers in another order."""
CHECKED = 20
"""Steps on the same batches."""


def config_for(kind: str, data: dict[str, Any], precision: str = "float32") -> TrialConfig:
    """The trial of ours."""
    models: dict[str, dict[str, Any]] = {
        "text": {"encoder": {"kind": "lstm"}, "decoder": {"kind": "lstm"}, "latent": {"kind": "gaussian", "size": 32}},
        "image": {"encoder": {"kind": "mlp"}, "decoder": {"kind": "mlp"}, "latent": {"kind": "gaussian", "size": 20}},
    }
    training = {"batch_size": BATCH[kind], "clip_norm": CLIP[kind], "precision": precision}
    return TrialConfig.from_dict({"data": data, "model": models[kind], "training": training})


class PlainLoop:
    """The other side: zero, forward, backward, clip, step."""

    def __init__(self, model: nn.Module, clip_norm: float | None) -> None:
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters())
        self.clip_norm = clip_norm

    def step(self, *batch: Any) -> Tensor:
        self.optimizer.zero_grad()
        loss: Tensor = self.model(*batch)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        if self.clip_norm is not None:
            clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        return loss.detach()

    def epoch(self, batches: Iterable[Sequence[Tensor]]) -> float:
        """The mean loss."""
        losses = [self.step(*batch) for batch in batches]
        return float(torch.stack(losses).mean())


def plain_side(
    kind: str, data: Data, model: Any
) -> tuple[PlainLoop, Iterable[Sequence[Tensor]], Callable[[Any], tuple[Any, ...]]]:
    """The loop with the weights of ours, its batches of train, and how it is handed a batch of ours."""
    if kind == "text":
        assert isinstance(data, TextData)
        words = data.vocabulary
        sentences = text.PlainTextVae(len(words.words), 256, 256, model.latent_size, words.pad)
        sentences.take_weights(model)
        loop = PlainLoop(sentences, CLIP[kind])
        return loop, text.loader(data, BATCH[kind]), lambda batch: (batch.inputs, batch.targets, batch.lengths)
    assert isinstance(data, ImageData)
    pictures = image.PlainImageVae(784, 400, model.latent_size)
    pictures.take_weights(model)
    pixels = torch.from_numpy(data.splits["train"].pixels.reshape(-1, 784)).float() / 255
    return PlainLoop(pictures, CLIP[kind]), image.loader(pixels, BATCH[kind]), lambda batch: (batch.pixels,)


def same_batches(kind: str, config: TrialConfig, data: Data, rounds: int) -> tuple[float, dict[str, Timing]]:
    """The largest relative difference of the losses of the same steps, and what they took."""
    trainer = Trainer(config, data)
    loop, _, handed = plain_side(kind, data, trainer.model)
    noise = make_generator(config.seed, "noise")  # as the trainer's
    plan = trainer._plan()[:CHECKED]
    batches = [handed(data.batch("train", index)) for index in plan]
    losses: dict[str, list[Tensor]] = {"ours": [], "plain": []}
    sides: dict[str, Callable[[], object]] = {
        "ours": lambda: losses["ours"].extend(trainer._advance([index])[1].loss.detach() for index in plan),
        "plain": lambda: losses["plain"].extend(loop.step(*batch, noise) for batch in batches),
    }
    timings = take_turns(sides, rounds)
    ours, plain = (torch.stack(losses[name])[: CHECKED * 2] for name in ("ours", "plain"))
    return float(((ours - plain) / plain).abs().max()), timings


def whole_passes(kind: str, data: dict[str, Any], loaded: Data, rounds: int) -> dict[str, Timing]:
    """The same examples once a round: the plain loop, ours, and for text ours with bfloat16 products."""
    trainer = Trainer(config_for(kind, data), loaded)
    loop, batches, _ = plain_side(kind, loaded, trainer.model)
    sides: dict[str, Callable[[], object]] = {"plain": lambda: loop.epoch(batches), "ours": trainer._train}
    if kind == "text":
        sides["ours, bfloat16"] = Trainer(config_for(kind, data, "bfloat16"), loaded)._train
    return take_turns(sides, rounds)


def load(kind: str, given: argparse.Namespace) -> tuple[dict[str, Any], Data]:
    """The config of the data, and as many examples of train as make the steps, drawn at random."""
    count = given.steps * BATCH[kind]
    if kind == "text":
        files = {split: str(given.data / f"{split}.txt") for split in ("train", "valid", "test")} if given.data else {}
        config = {"kind": "text_file", "unit": "sentence", **files} if files else {"kind": "python_docs"}
        whole = config_for(kind, config).data.load()
        assert isinstance(whole, TextData)
        train = whole.splits["train"]
        chosen = torch.randperm(len(train), generator=Generator().manual_seed(0)).numpy()[:count]
        taken = Ragged(train.tokens, train.offsets).take(chosen, int(train.lengths.max()))
        splits = {**whole.splits, "train": TextSplit(taken.tokens, taken.offsets)}
        return config, TextData.make(splits, whole.vocabulary, whole.name)
    if given.images:
        config = {"kind": "npz", "path": str(given.images), "pixels": "static"}
        pictures = config_for(kind, config).data.load()
        assert isinstance(pictures, ImageData)
        pixels = pictures.splits["train"].pixels[:count]
    else:
        config = {"kind": "npz", "path": "noise.npz", "pixels": "static"}  # named in the trial and never read
        pixels = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (count, 28, 28), dtype=np.uint8)
    return config, ImageData.make(dict.fromkeys(("train", "valid", "test"), ImageSplit(pixels)), "static", "images")


def padding(data: TextData, batches: Iterable[np.ndarray]) -> float:
    """Padded over real tokens."""
    lengths = data.splits["train"].lengths + 1
    return sum(len(index) * int(lengths[index].max()) for index in batches) / int(lengths.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kind", choices=("text", "image"))
    parser.add_argument("--data", type=Path, help="a folder of text")
    parser.add_argument("--images", type=Path, help="an .npz file with x_train and x_test")
    parser.add_argument("--steps", type=int, help="of a pass")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    as_a_worker("benchmarks.trainer")
    kind, given.steps = given.kind, given.steps or {"text": 50, "image": 400}[given.kind]
    config, data = load(kind, given)
    examples = len(data.splits["train"])
    print(machine())
    if isinstance(data, TextData):
        tokens = int(data.splits["train"].lengths.sum()) + examples
        trainer = Trainer(config_for(kind, config), data)
        apart = [index.numpy() for index in torch.split(torch.randperm(examples), BATCH[kind])]
        print(f"{data.name}, V = {len(data.vocabulary.words)}: {examples} sentences, {tokens} tokens with </s> a pass")
        print(f"padded/real tokens: ours {padding(data, trainer._plan()):.3f}, plain {padding(data, apart):.3f}")
    apart_by, same = same_batches(kind, config_for(kind, config), data, given.rounds)
    if apart_by > TOLERANCE:
        raise SystemExit(f"the two sides do not compute the same: losses differ by {apart_by:.1e}")
    print(f"losses of {2 * CHECKED} steps on the same batches agree to {apart_by:.0e}\n", flush=True)
    passes = whole_passes(kind, config, data, given.rounds)
    unit, units = ("tokens", tokens) if isinstance(data, TextData) else ("images", examples)
    rows: list[tuple[Any, ...]] = [
        ("same batches", name, at.cpu / CHECKED * 1e3, None, same["plain"].cpu / at.cpu, same["plain"].wall / at.wall)
        for name, at in same.items()
    ]
    rows += [
        (
            "same examples",
            name,
            at.cpu / given.steps * 1e3,
            units / at.cpu,
            passes["plain"].cpu / at.cpu,
            passes["plain"].wall / at.wall,
        )
        for name, at in passes.items()
    ]
    headers = ("what", "side", "ms CPU a step", f"{unit}/CPU s", "times plain, CPU", "times plain, wall")
    print(tabulate(rows, headers, tablefmt="github", floatfmt=("", "", ".2f", ",.0f", ".2f", ".2f")))


if __name__ == "__main__":
    main()
