"""Exact scores of a split: ELBO, perplexity, active units, mutual information, importance-weighted likelihood.

Always the exact likelihood, at beta 1, without dropout. Sums run in float64 on the CPU, and noise, that of dynamic pixels
too, belongs to the example, not to the batch: the batch size changes no score beyond rounding (but for the softmax gap, whose
negatives a batch shares).

Shapes: n examples of the split, N examples of an estimate, K samples an example, Z latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vae_core.codes import CodedBatch, Codes, Index, encode_batches, in_order
from vae_core.data.text import TextData
from vae_core.estimators import active_units, importance_weighted_nll, mutual_information, perplexity
from vae_core.model import VAE, Data
from vae_core.networks.text import TextDecoder
from vae_core.seeding import generator_of_each, make_generator
from vae_core.softmax.head import require_normalised
from vae_core.softmax.svd import SvdHead

MUTUAL_INFORMATION_EXAMPLES = 2048
"""At most so many examples, evenly spread over the split, enter the mutual information: its cost is quadratic in them."""
_LOOKED_AT = 4
"""Words of a split at which the softmax has to prove a distribution."""
_IMPORTANCE_BATCH = 16
_STAGE = 64
"""Examples at least between two looks at the standard error, which of few is itself a guess."""
_NOISE_BLOCK = 64
"""Samples an example drawn at a time; fixed, for torch draws other numbers where it draws other amounts."""


@torch.no_grad()
def evaluate(model: VAE[Any], data: Data, split: str, batch_size: int, seed: int, *, max_bytes: int = 2**29) -> dict[str, float]:
    """Every score that ``vae_core.metrics`` has of a split, by its name without the prefix.

    Args:
        split: "train", "valid" or "test".
        batch_size: examples at a time, fewer where they are long: see ``max_bytes``.
        max_bytes: bounds the decoder's working memory, roughly; one example is always taken.
        seed: of the posterior samples, one an example; the same seed gives the same samples.

    Raises:
        UnnormalisedError: the decoder's softmax is no distribution.
    """
    plan = list(_fitting(model, data, split, data.plan(split, batch_size, None), max_bytes))
    negatives = make_generator(seed, "negatives", device=next(model.parameters()).device)
    coded: list[CodedBatch] = []
    columns: list[list[Tensor]] = []
    for batch in encode_batches(model, data, split, plan, seed):
        if not coded:
            _require_likelihood(model, batch)
        coded.append(batch._replace(batch=None))
        columns.append([part[0] for part in model.nll_and_gap(batch.batch, batch.z, negatives)])
    codes = Codes.join(coded, plan)
    nll, gap = (in_order(column, plan) for column in zip(*columns, strict=True))
    distortion, rate = nll.mean().item(), codes.rate.mean().item()
    scores = {"neg_elbo": distortion + rate, "distortion": distortion, "rate": rate}
    if isinstance(data, TextData):
        scores["perplexity"] = perplexity((nll.sum() + codes.rate.sum()).item(), _target_tokens(model, data, split))
        if not gap.isnan().all():  # negative sampling has none
            scores["softmax_gap"] = gap.mean().item()
    chosen = codes.spread(MUTUAL_INFORMATION_EXAMPLES)
    scores["active_units"] = float(active_units(codes.means))
    scores["mutual_information"] = mutual_information(chosen.posterior, chosen.z)
    scores["mutual_information_n"] = float(len(chosen.z))
    return scores


@torch.no_grad()
def evaluate_svd(
    model: VAE[Any], data: Data, split: str, batch_size: int, seed: int, svd: SvdHead, *, max_bytes: int = 2**29
) -> dict[str, float]:
    """What an SVD softmax in the place of the model's own makes of a split of text: svd_perplexity and svd_gap.

    At the samples that ``evaluate`` scores under the same seed; see there for the arguments.
    """
    assert isinstance(model.decoder, TextDecoder), "images have no words"
    plan = list(_fitting(model, data, split, data.plan(split, batch_size, None), max_bytes))
    total, gap, count = 0.0, 0.0, 0
    for coded in encode_batches(model, data, split, plan, seed):
        nll = model.decoder.svd_nll(coded.batch, model.with_label(coded.z, coded.batch.labels), svd)[0].double()
        total += (nll + coded.kl.sum(1).double()).sum().item()
        gap += (nll - model.nll(coded.batch, coded.z)[0].double()).sum().item()
        count += len(nll)
    assert isinstance(data, TextData)
    return {"svd_perplexity": perplexity(total, _target_tokens(model, data, split)), "svd_gap": gap / count}


@dataclass(frozen=True)
class ImportanceWeighted:
    """An estimate of -log p(x), from above in expectation; it falls as K grows (Burda et al. 2016, theorem 1)."""

    nll: float
    """Nats an example, mean over the examples."""
    se: float
    """Standard error of that mean over examples; NaN for a single one."""
    perplexity: float | None
    """exp(summed NLL / target tokens); None for images."""
    k: int
    """Samples an example."""
    n: int
    """Examples."""


def importance_weighted(
    model: VAE[Any],
    data: Data,
    split: str,
    *,
    samples: int,
    examples: int | None = None,
    standard_error: float | None = None,
    seed: int = 0,
    max_bytes: int = 2**27,
) -> ImportanceWeighted:
    """Scores a split, or a part of it, by the importance-weighted bound with the posterior as proposal.

    Args:
        samples: K.
        examples: score only so many, evenly spread over the split, the same whatever the seed; None: all.
        standard_error: stop where that of the mean is so low or lower, in nats an example. What is then scored is spread over the
            split too, and the seed decides only how much of it it is; None: score all of them.
        seed: of the noise.
        max_bytes: bounds the decoder's working memory, roughly; one sample of one example is always taken.

    Raises:
        ValueError: ``samples`` or ``examples`` is below 1.
    """
    if samples < 1 or (examples is not None and examples < 1):
        raise ValueError(f"samples and examples must be 1 or more, got samples={samples}, examples={examples}")
    index = _choose(data, split, examples)
    found: list[Tensor] = []
    scored: list[Index] = []
    for stage in [index] if standard_error is None else _stages(index):
        found.append(importance_weighted_examples(model, data, split, stage, samples=samples, seed=seed, max_bytes=max_bytes))
        scored.append(stage)
        if standard_error is not None and _standard_error(torch.cat(found)) <= standard_error:
            break
    nll, index = torch.cat(found), np.concatenate(scored)
    per_token = perplexity(nll.sum().item(), _target_tokens(model, data, split, index)) if isinstance(data, TextData) else None
    return ImportanceWeighted(nll.mean().item(), _standard_error(nll), per_token, samples, len(index))


def _standard_error(values: Tensor) -> float:
    return values.std(correction=1).item() / math.sqrt(len(values)) if len(values) > 1 else math.nan


def _stages(index: Index) -> list[Index]:
    """The examples in parts of like size, so that the first ones together are spread over the split as all of them are."""
    count = max(1, len(index) // _STAGE)
    bits = count.bit_length()
    halving = sorted(range(count), key=lambda place: int(f"{place:0{bits}b}"[::-1], 2))  # van der Corput's order
    return [index[place::count] for place in halving]


def importance_weighted_examples(
    model: VAE[Any], data: Data, split: str, index: Index, *, samples: int, seed: int = 0, max_bytes: int = 2**27
) -> Tensor:
    """The same of each of these examples, (N,), float64 on the CPU; of like lengths side by side it is quickest."""
    parts = _fitting(model, data, split, _in_batches(index, _IMPORTANCE_BATCH), max_bytes)
    return torch.cat([_importance_weighted_part(model, data, split, part, samples, seed, max_bytes) for part in parts])


@torch.no_grad()
def _importance_weighted_part(
    model: VAE[Any], data: Data, split: str, index: Index, samples: int, seed: int, max_bytes: int
) -> Tensor:
    like = next(model.parameters())
    batch: Any = data.batch(split, index, generator_of_each(seed, "binarise")).to(like.device)
    posterior = model.encode(batch)
    chunk = max(1, max_bytes // (batch.size * model.decoder.bytes_per_sample(batch)))
    noise = (part.to(like) for part in _noise(index, samples, model.noise_size, seed, chunk))
    return importance_weighted_nll(posterior, partial(model.log_joint, batch), noise).cpu()


def _require_likelihood(model: VAE[Any], coded: CodedBatch) -> None:
    if isinstance(model.decoder, TextDecoder):
        z = model.with_label(coded.z[:1], coded.batch.labels)
        _, hidden, words = model.decoder.scored_words(coded.batch, z)
        require_normalised(model.decoder.head, hidden[:_LOOKED_AT], words[:_LOOKED_AT])


def _noise(index: Index, samples: int, size: int, seed: int, chunk: int) -> Iterator[Tensor]:
    """``samples`` (K) standard normal draws for each of B examples, at most ``chunk`` at a time: (k, B, E).

    Each example has its own generator: neither batches nor chunks nor K change its noise, but for how much there is of it.
    """
    generators = [make_generator(seed, "noise", int(place)) for place in index]
    for start in range(0, samples, _NOISE_BLOCK):
        block = torch.stack([torch.randn(_NOISE_BLOCK, size, generator=generator) for generator in generators], 1)
        yield from torch.split(block[: samples - start], chunk)


def _choose(data: Data, split: str, examples: int | None) -> Index:
    """The examples, in the plan's order, where sentences of like length are neighbours; the middles of equal stretches of it."""
    order = np.concatenate(data.plan(split, _IMPORTANCE_BATCH, None))
    count = len(order) if examples is None else min(examples, len(order))
    return order[(2 * np.arange(count) + 1) * len(order) // (2 * count)]


def _in_batches(index: Index, size: int) -> list[Index]:
    return np.split(index, range(size, len(index), size))


def _fitting(model: VAE[Any], data: Data, split: str, batches: Iterable[Index], max_bytes: int) -> Iterator[Index]:
    """The batches, cut so that the decoder needs at most so many bytes for one sample of each example, or to single examples.

    The longest sentence of a batch stands last, for the plan's order is by length.
    """
    for index in batches:
        longest: Any = data.batch(split, index[-1:], make_generator(0, "binarise"))
        yield from _in_batches(index, max(1, max_bytes // model.decoder.bytes_per_sample(longest)))


def _target_tokens(model: VAE[Any], data: TextData, split: str, index: Index | None = None) -> int:
    """Words of these sentences, or of all, and their ``</s>`` where the decoder predicts it."""
    lengths = data.splits[split].lengths
    chosen = lengths if index is None else lengths[index]
    assert isinstance(model.decoder, TextDecoder)
    return int(chosen.sum()) + (len(chosen) if model.decoder.predicts_end else 0)
