"""Samples, reconstructions, interpolations and traversals of a finished trial, for people to look at.

Shapes: B codes, Z latent dimensions, D dimensions traversed, S steps of each; images are (B, H, W) or (B, H, W, C).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vae_core.config import TrialConfig
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.data.text_config import TextConfig
from vae_core.decoding import Ancestral
from vae_core.generate import (
    PER_ROW,
    decode_images,
    decode_text,
    grid,
    posteriors,
    prior_codes,
    scale_of,
    widest_parts,
    write_lines,
    write_png,
)
from vae_core.latent.standard import Reference
from vae_core.model import VAE, Data
from vae_core.seeding import make_generator

_STEPS = 8
"""Codes of an interpolation, both ends counted."""
_TRAVERSED = 8
"""Parts of a code that are traversed at most."""
_LABELS = 20
"""Labels of which samples are kept at most, the first ones."""


def write_samples(model: VAE[Any], config: TrialConfig, data: Data, directory: Path) -> None:
    """Writes samples, and reconstructions, interpolations and traversals of the test split, as .txt or .png.

    ``evaluation.samples`` of each; traversals of at most eight parts of the code, the others as in the family's central code,
    where there is one and the prior is about it, and then as in an example's. An example's code is its posterior's mode. A model
    that tells labels apart gives samples of each label, from the same noise; interpolations keep the first end's label,
    traversals the example's.
    """
    count = config.evaluation.samples
    if count == 0:
        return
    directory.mkdir(parents=True, exist_ok=True)
    n = len(data.splits["test"])
    index = np.arange(min(count, n)) * n // min(count, n)
    modes = posteriors(model, data, "test", index).mode()
    labels = data.batch("test", index, make_generator(0, "binarise")).labels
    labels = None if labels is None else labels.to(modes.device)
    space = model.posterior.space
    parts = widest_parts(model, data, "test", config.training.batch_size, _TRAVERSED)
    centre = space.centre if isinstance(model.prior, Reference) else None  # a learned prior may well leave it empty
    bases = {} if centre is None else {"at 0": centre.to(modes)}
    bases["as in the first reconstruction"] = modes[0]
    examples = _Examples(
        modes,
        labels,
        pairs=[space.path(modes[place], modes[(place + 1) % len(index)], _STEPS) for place in range(0, len(index), 2)],
        traversals={rest: space.traverse(base, parts) for rest, base in bases.items()},
    )
    samples = _samples(model, count, config.seed, data.labels)
    if isinstance(data, TextData):
        assert isinstance(config.data, TextConfig)
        _write_text(model, data, index, samples, examples, config.data.max_length, config.seed, directory)
        _write_text_traversals(model, examples, parts, config.data.max_length, directory)
    else:
        _write_images(model, data, index, samples, examples, directory)


@dataclass(frozen=True)
class _Examples:
    """What is shown of some test examples."""

    modes: Tensor
    """(B, Z)."""
    labels: Tensor | None
    """(B,)."""
    pairs: list[Tensor]
    """(S, Z) each; pair i leads from example 2 i to the one behind it."""
    traversals: dict[str, Tensor]
    """(D, S, Z) each, by what the other parts are."""

    def label(self, place: int, count: int) -> Tensor | None:
        """The label of one example for ``count`` codes."""
        return None if self.labels is None else self.labels[place].expand(count)


@dataclass(frozen=True)
class _Samples:
    """Codes from the prior, of one label where the model tells them apart."""

    name: str | None
    codes: Tensor
    """(count, Z)."""
    labels: Tensor | None
    """(count,)."""


def _samples(model: VAE[Any], count: int, seed: int, names: tuple[str, ...] | None) -> list[_Samples]:
    """``count`` codes, or a row of each label from the same noise."""
    if not model.label_count:
        return [_Samples(None, prior_codes(model, count, seed), None)]
    assert names is not None
    device, count = next(model.parameters()).device, min(count, PER_ROW)
    labels = {name: torch.full((count,), place, device=device) for place, name in enumerate(names[:_LABELS])}
    return [_Samples(name, prior_codes(model, count, seed, label), label) for name, label in labels.items()]


def _write_text(
    model: VAE[Any],
    data: TextData,
    index: npt.NDArray[np.int64],
    samples: list[_Samples],
    examples: _Examples,
    length: int,
    seed: int,
    directory: Path,
) -> None:
    blocks = []
    for part in samples:
        greedy = decode_text(model, part.codes, length, labels=part.labels)
        drawn = decode_text(model, part.codes, length, Ancestral(), seed=seed, labels=part.labels)
        told = "" if part.name is None else f"label   {part.name}\n"
        blocks += [f"{told}greedy  {first}\ndrawn   {second}\n" for first, second in zip(greedy, drawn, strict=True)]
    title = "Codes from the prior: the most likely words, and words drawn at temperature 1."
    write_lines(directory / "samples.txt", title, blocks)
    targets = data.batch("test", index, None).targets.tolist()
    again = decode_text(model, examples.modes, length, labels=examples.labels)
    pairs_of_text = zip((data.vocabulary.decode(row) for row in targets), again, strict=True)
    lines = [f"input   {text}\noutput  {output}\n" for text, output in pairs_of_text]
    write_lines(directory / "reconstructions.txt", "Test sentences, and the most likely words at their posterior's mode.", lines)
    sentences = (
        decode_text(model, pair, length, labels=examples.label(2 * place, len(pair))) for place, pair in enumerate(examples.pairs)
    )
    title = f"The most likely words along {model.posterior.space.line} between the posterior modes of two test sentences."
    write_lines(directory / "interpolations.txt", title, ["".join(f"{text}\n" for text in texts) for texts in sentences])


def _write_text_traversals(model: VAE[Any], examples: _Examples, parts: Tensor, length: int, directory: Path) -> None:
    space, blocks = model.posterior.space, []
    for rest, traversal in examples.traversals.items():
        for part, line in zip(parts.tolist(), traversal, strict=True):
            texts = decode_text(model, line, length, labels=examples.label(0, len(line)))
            pairs = zip(space.labels, texts, strict=True)
            blocks.append(f"{space.part}[{part}], the others {rest}\n" + "".join(f"{label}  {text}\n" for label, text in pairs))
    title = "The most likely words as one part of the code changes; those whose posterior mean varies most over test come first."
    write_lines(directory / "traversals.txt", title, blocks)


def _write_images(
    model: VAE[Any],
    data: ImageData,
    index: npt.NDArray[np.int64],
    samples: list[_Samples],
    examples: _Examples,
    directory: Path,
) -> None:
    shape = tuple(data.shape)
    scale = scale_of(shape)
    drawn = np.concatenate([decode_images(model, part.codes, shape, part.labels) for part in samples])
    columns = PER_ROW if len(samples) == 1 else len(samples[0].codes)
    write_png(grid(drawn, columns), directory / "samples.png", scale)
    pixels = data.batch("test", index, make_generator(0, "binarise")).pixels
    inputs = pixels.numpy().reshape(len(index), *shape)
    outputs = decode_images(model, examples.modes, shape, examples.labels)
    both = np.stack((inputs, outputs), 1).reshape(2 * len(index), *shape)  # input, output, input, ..
    write_png(grid(both), directory / "reconstructions.png", scale)
    lines = [decode_images(model, pair, shape, examples.label(2 * place, len(pair))) for place, pair in enumerate(examples.pairs)]
    write_png(grid(np.concatenate(lines), _STEPS), directory / "interpolations.png", scale)
    codes = torch.cat(list(examples.traversals.values())).flatten(0, 1)
    pictures = decode_images(model, codes, shape, examples.label(0, len(codes)))
    write_png(grid(pictures, len(model.posterior.space.labels)), directory / "traversals.png", scale)
