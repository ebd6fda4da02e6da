"""What a finished model's code carries and what its samples are like: metrics, and tables for a closer look.

Shapes: n examples of the test split, N of them in estimates that are quadratic in them, Z latent dimensions, S samples.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vae_core.codes import Codes, encode_split
from vae_core.config import TrialConfig
from vae_core.copying import copied, nearest, searched
from vae_core.data.text import TextData, TextSplit
from vae_core.data.text_config import TextConfig
from vae_core.decoding import Ancestral
from vae_core.diversity import distinct_n, self_bleu
from vae_core.estimators import ACTIVE, active_units, mutual_information
from vae_core.evaluate import MUTUAL_INFORMATION_EXAMPLES, evaluate_svd
from vae_core.generate import decode_ids, prior_codes
from vae_core.model import VAE, Data
from vae_core.networks.sentence import SentenceDecoder
from vae_core.networks.text import TextDecoder
from vae_core.seeding import derive_seed, make_generator
from vae_core.softmax.svd import SvdHead

SPLIT = "test"
SAMPLES = 200
"""Codes from the prior that are decoded; fixed, for what is said of them depends on how many there are."""
_PRIOR_DRAWS = 4096
_BATCH = 128

Plain = dict[str, Any]


def write_diagnosis(
    model: VAE[Any], config: TrialConfig, data: Data, scores: Mapping[str, float], directory: Path
) -> dict[str, float]:
    """Writes the diagnosis of the test split and of samples, and gives the metrics ``vae_core.metrics.DIAGNOSIS``.

    With ``evaluation.svd`` those of ``vae_core.metrics.SVD`` too.

    ``summary.json`` has all single figures, each with its estimator; ``kl.csv`` the rate by dimension or independent part, most
    first, a single row where the KL has no closed form; ``dimensions.csv`` the posterior means' and the aggregate posterior's
    moments beside the prior's. Of text, ``samples.csv`` has each sample with the nearest sentence of train.

    Args:
        scores: what the trial reports of the test split, ``test/...``.
    """
    directory.mkdir(parents=True, exist_ok=True)
    codes = encode_split(model, data, SPLIT, _BATCH, derive_seed(config.seed, SPLIT))
    summary, metrics = _code_summary(model, codes, scores)
    told = _labels_by_share(model, data, _PRIOR_DRAWS, config.seed)
    prior = prior_codes(model, _PRIOR_DRAWS, config.seed, told).cpu().double()
    parts = codes.kl.mean(0).tolist()
    order = sorted(range(len(parts)), key=lambda part: -parts[part])
    _write_table(directory / "kl.csv", ("part", "kl"), ((part, parts[part]) for part in order))
    _write_table(directory / "dimensions.csv", *_dimensions(codes, prior))
    if (svd := config.evaluation.svd) is not None and isinstance(model.decoder, TextDecoder):
        head = SvdHead(model.decoder.head, svd.width, svd.top)
        found = evaluate_svd(model, data, SPLIT, _BATCH, derive_seed(config.seed, SPLIT), head)
        summary["svd"] = {**svd.to_dict(), **found}
        metrics |= {f"{SPLIT}/{name}": value for name, value in found.items()}
    if isinstance(data, TextData) and isinstance(model.decoder, SentenceDecoder):
        said, found, rows = _samples(model, config, data)
        summary["samples"] = said
        metrics |= found
        _write_table(directory / "samples.csv", ("sample", "copied", "distance", "nearest"), rows)
    (directory / "summary.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return metrics


def _code_summary(model: VAE[Any], codes: Codes, scores: Mapping[str, float]) -> tuple[Plain, dict[str, float]]:
    """The distortion-rate point, and what of the rate is information and what a mismatch with the prior.

    The mean KL(q(z|x) || p(z)) is I(x; z) + KL(q(z) || p(z)) (Hoffman & Johnson 2016, eq. 3). As the estimate of the mutual
    information is at most log N, and below it on average, that of the marginal KL is too high where the code carries much. With
    a prior p(z|y) the rate does not fall apart so, and there is none.
    """
    chosen = codes.spread(MUTUAL_INFORMATION_EXAMPLES)
    information = mutual_information(chosen.posterior, chosen.z)
    marginal = None if model.prior.labels else chosen.rate.mean().item() - information
    summary: Plain = {
        "split": SPLIT,
        "examples": len(codes.z),
        "distortion_rate": {
            **{name: scores[f"{SPLIT}/{name}"] for name in ("distortion", "rate", "neg_elbo")},
            "rate_estimator": model.kl_kind,
        },
        "information": {
            "mutual_information": information,
            "marginal_kl": marginal,
            "examples": len(chosen.z),
            "estimator": "marginal_kl = rate - mutual_information over these examples (Hoffman & Johnson 2016), one sample each",
        },
        "active_units": {"count": active_units(codes.means), "threshold": ACTIVE},
        "prior_draws": _PRIOR_DRAWS,
    }
    return summary, {} if marginal is None else {"test/marginal_kl": marginal}


def _dimensions(codes: Codes, prior: Tensor) -> tuple[tuple[str, ...], Iterable[tuple[Any, ...]]]:
    """A row a dimension: of the posterior means their mean and variance; then mean and variance of z under q(z) and p(z)."""
    means = codes.means
    variances = means.var(0, correction=0)
    columns = [means.mean(0), variances]
    columns += [moment for z in (codes.z, prior) for moment in (z.mean(0), z.var(0, correction=0))]
    header = ("dimension", "active", "mean_of_means", "variance_of_means", "mean", "variance", "prior_mean", "prior_variance")
    rows = zip(*(column.tolist() for column in columns), strict=True)
    active = (variances > ACTIVE).tolist()
    return header, ((place, int(active[place]), *row) for place, row in enumerate(rows))


def _samples(model: VAE[Any], config: TrialConfig, data: TextData) -> tuple[Plain, dict[str, float], Iterable[tuple[Any, ...]]]:
    """Diversity and copying of samples: for the summary, as metrics, and a row a sample."""
    assert isinstance(config.data, TextConfig)
    told, length = _labels_by_share(model, data, SAMPLES, config.seed), config.data.max_length
    codes = prior_codes(model, SAMPLES, config.seed, told)
    sentences = decode_ids(model, codes, length, Ancestral(), seed=config.seed, labels=told)
    train, decode = data.splits["train"], data.vocabulary.decode
    verbatim, places = copied(sentences, train), searched(sentences, train)
    found = nearest(sentences, train, places)
    varied = _diversity(sentences)
    metrics = {f"test/{name}": value for name, value in varied.items()} | {"test/copied": sum(verbatim) / len(verbatim)}
    summary: Plain = {
        "count": SAMPLES,
        "decoding": f"ancestral, temperature 1, at most {length} tokens",
        "unit": "tokens of the vocabulary",
        **varied,
        "copied": metrics["test/copied"],
        "self_bleu_smoothing": "BLEU-4, a count of 0 taken as 0.1 (Chen & Cherry 2014, method 1)",
        "nearest": {
            "measure": "Levenshtein distance in tokens",
            "mean": sum(near.distance for near in found) / len(found),
            "searched": len(places),
            "train": len(train),
        },
        "as_many_test_sentences": _diversity(_spread(data.splits[SPLIT], SAMPLES)),
    }
    rows = (
        (decode(sentence), int(same), near.distance, decode(_sentence(train, near.place)))
        for sentence, same, near in zip(sentences, verbatim, found, strict=True)
    )
    return summary, metrics, rows


def _labels_by_share(model: VAE[Any], data: Data, count: int, seed: int) -> Tensor | None:
    """Labels of training examples drawn at random, (count,), so that each is as frequent as in train; None where none is told."""
    labels = data.splits["train"].labels
    if not model.label_count:
        return None
    assert labels is not None, "a model of labels, and data without"
    drawn = torch.randint(len(labels), (count,), generator=make_generator(seed, "labels"))
    return torch.from_numpy(labels[drawn.numpy()]).to(next(model.parameters()).device)


def _diversity(sentences: Sequence[Sequence[int]]) -> dict[str, float]:
    bleu = {"self_bleu": self_bleu(sentences)} if len(sentences) > 1 else {}
    return {"distinct_1": distinct_n(sentences, 1), "distinct_2": distinct_n(sentences, 2), **bleu}


def _spread(split: TextSplit, count: int) -> list[list[int]]:
    """So many sentences of a split, or all, evenly spread."""
    n, taken = len(split), min(count, len(split))
    return [_sentence(split, place * n // taken) for place in range(taken)]


def _sentence(split: TextSplit, place: int) -> list[int]:
    ids: list[int] = split.tokens[split.offsets[place] : split.offsets[place + 1]].tolist()
    return ids


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
