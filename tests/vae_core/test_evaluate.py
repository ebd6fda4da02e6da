"""Scores of a split: exact, and independent of everything but model, data and seed (definitions.md 17-21)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import vae_core.evaluate
from tests.vae_core.conftest import MakeConfig
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.evaluate import _noise, evaluate, evaluate_svd, importance_weighted
from vae_core.metrics import VALIDATION
from vae_core.model import VAE, Data, build_model
from vae_core.networks.text import TextDecoder
from vae_core.seeding import generator_of_each, make_generator
from vae_core.softmax.full import FullHead
from vae_core.softmax.head import UnnormalisedError
from vae_core.softmax.svd import SvdHead

SAMPLED = {"model.softmax": {"kind": "sampled", "samples": 64}}


def text_model(config: MakeConfig, data: TextData, changes: dict[str, Any] | None = None) -> VAE[Any]:
    """Untrained, but with a posterior wide apart, so that every score has something to say."""
    model = build_model(config(changes), data, make_generator(1, "init"))
    with torch.no_grad():
        model.posterior.layer.weight.mul_(20.0)
    return model


@pytest.fixture(params=["text", "image"])
def subject(
    request: pytest.FixtureRequest, text_config: MakeConfig, image_config: MakeConfig, sentences: TextData, digits: ImageData
) -> tuple[VAE[Any], Data]:
    if request.param == "text":
        return text_model(text_config, sentences), sentences
    return build_model(image_config(), digits, make_generator(1, "init")), digits


def test_the_batch_size_changes_no_score(subject: tuple[VAE[Any], Data]):
    model, data = subject
    one_by_one, all_at_once = (evaluate(model, data, "valid", size, seed=5) for size in (1, 1000))
    assert one_by_one.keys() == all_at_once.keys()
    for name, value in all_at_once.items():
        assert one_by_one[name] == pytest.approx(value, rel=2e-6, abs=2e-6), name


def test_dynamic_pixels_of_train_are_the_example_s_own(image_config: MakeConfig, digits: ImageData):
    """Black or white whatever batch it comes in: however memory bounds cut a plan, the scores are the same."""
    model = build_model(image_config(), digits, make_generator(1, "init"))
    few, many = (evaluate(model, digits, "train", size, seed=5) for size in (7, 1000))
    assert few["distortion"] == pytest.approx(many["distortion"], rel=1e-6)
    first, second = (
        importance_weighted(model, digits, "train", samples=3, examples=50, seed=5, max_bytes=size) for size in (2**30, 2**12)
    )
    assert first.nll == pytest.approx(second.nll, rel=1e-6)
    pixels = [digits.batch("train", place, generator_of_each(5, "binarise")).pixels for place in (np.arange(9), np.array([8, 3]))]
    assert torch.equal(pixels[0][[8, 3]], pixels[1])
    assert not torch.equal(pixels[1][0], pixels[1][1])


def test_every_score_of_the_modality_is_there_and_no_other(subject: tuple[VAE[Any], Data]):
    model, data = subject
    names = {metric.name.removeprefix("val/") for metric in VALIDATION if metric.modality in (None, data.modality)}
    assert evaluate(model, data, "valid", 32, seed=0).keys() == names


def test_the_same_seed_gives_the_same_scores_bit_by_bit(subject: tuple[VAE[Any], Data]):
    model, data = subject
    torch.manual_seed(1)
    first = evaluate(model, data, "valid", 32, seed=5)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert evaluate(model, data, "valid", 32, seed=5) == first
    assert evaluate(model, data, "valid", 32, seed=6)["distortion"] != first["distortion"]
    assert torch.equal(torch.get_rng_state(), before)


def test_the_negative_elbo_is_distortion_plus_rate(subject: tuple[VAE[Any], Data]):
    scores = evaluate(*subject, "valid", 32, seed=0)
    assert scores["neg_elbo"] == scores["distortion"] + scores["rate"]


def test_perplexity_counts_the_end_of_each_sentence(text_config: MakeConfig, sentences: TextData):
    scores = evaluate(text_model(text_config, sentences), sentences, "valid", 32, seed=0)
    split = sentences.splits["valid"]
    tokens = int(split.offsets[-1]) + len(split)
    assert scores["perplexity"] == pytest.approx(math.exp(scores["neg_elbo"] * len(split) / tokens), rel=1e-12)


def test_zero_logits_have_the_vocabulary_as_perplexity(text_config: MakeConfig, sentences: TextData):
    model = build_model(text_config(), sentences, make_generator(0, "init"))
    for weight in model.parameters():
        nn.init.zeros_(weight)
    scores = evaluate(model, sentences, "valid", 32, seed=0)
    assert scores["perplexity"] == pytest.approx(len(sentences.vocabulary), rel=1e-6)
    assert scores["active_units"] == 0.0
    assert scores["mutual_information"] == pytest.approx(0.0, abs=1e-12)


def test_a_sampled_head_is_scored_by_its_full_softmax(text_config: MakeConfig, sentences: TextData):
    """The two heads start from the same weights, so only the training loss differs, and it differs by the gap."""
    full, sampled = text_model(text_config, sentences), text_model(text_config, sentences, SAMPLED)
    sampled.load_state_dict(full.state_dict(), strict=False)
    exact, approximated = (evaluate(model, sentences, "valid", 32, seed=0) for model in (full, sampled))
    assert approximated["neg_elbo"] == pytest.approx(exact["neg_elbo"], rel=1e-6)
    assert exact["softmax_gap"] == 0.0
    assert abs(approximated["softmax_gap"]) > 0.01


@pytest.mark.parametrize("kind", ["nce", "negative_sampling", "one_vs_each"])
def test_binary_losses_are_scored_by_their_full_softmax(kind: str, text_config: MakeConfig, sentences: TextData):
    """Negative sampling has no likelihood of its own, hence no gap; one-vs-each bounds it from above; nce leaves Z out."""
    full = text_model(text_config, sentences)
    other = text_model(text_config, sentences, {"model.softmax": {"kind": kind, "samples": 64}})
    other.load_state_dict(full.state_dict(), strict=False)
    exact, approximated = (evaluate(model, sentences, "valid", 32, seed=0) for model in (full, other))
    assert approximated["neg_elbo"] == pytest.approx(exact["neg_elbo"], rel=1e-6)
    assert exact.keys() - approximated.keys() == ({"softmax_gap"} if kind == "negative_sampling" else set())
    assert all(math.isfinite(score) for score in approximated.values())
    if kind == "one_vs_each":
        assert approximated["softmax_gap"] > 1.0
    if kind == "nce":  # weights near 0 and biases of 0, as the full softmax has them: Z is nearly V
        split = sentences.splits["valid"]
        tokens = (int(split.offsets[-1]) + len(split)) / len(split)
        assert approximated["softmax_gap"] == pytest.approx(-tokens * math.log(len(sentences.vocabulary)), rel=0.02)


def tempered(log_probs: Tensor) -> Tensor:
    return 0.9 * log_probs


def tempered_again(log_probs: Tensor) -> Tensor:
    return (0.9 * log_probs).log_softmax(1)


@pytest.mark.parametrize(
    ("change", "message"), [(tempered, "is no softmax to evaluate by"), (tempered_again, "by another distribution than")]
)
@pytest.mark.parametrize("decoder", ["lstm", "bag_of_words"])
def test_a_head_that_is_no_distribution_is_refused(
    decoder: str,
    change: Callable[[Tensor], Tensor],
    message: str,
    text_config: MakeConfig,
    sentences: TextData,
    monkeypatch: pytest.MonkeyPatch,
):
    model = text_model(text_config, sentences, {"model.decoder": {"kind": decoder}})
    with torch.no_grad():  # next to uniform, as untrained, tempering would hardly change it
        bias = model.decoder.get_parameter("head.bias")
        bias.copy_(torch.linspace(-3.0, 3.0, len(bias)))
    evaluate(model, sentences, "valid", 32, seed=0)
    exact = FullHead.log_probs
    monkeypatch.setattr(FullHead, "log_probs", lambda head, hidden: change(exact(head, hidden)))
    with pytest.raises(UnnormalisedError, match=message):
        evaluate(model, sentences, "valid", 32, seed=0)


SCORED_BY_SVD: dict[str, dict[str, Any]] = {
    "full": {},
    "sampled, tied": {**SAMPLED, "model.decoder.tie_embeddings": True},
    "bag of words": {"model.decoder": {"kind": "bag_of_words", "hidden": [7]}},
}


@pytest.mark.parametrize("changes", SCORED_BY_SVD.values(), ids=SCORED_BY_SVD)
def test_an_svd_softmax_is_scored_beside_the_exact_one(
    changes: dict[str, Any], text_config: MakeConfig, sentences: TextData, monkeypatch: pytest.MonkeyPatch
):
    """No gap where it is exact; in few dimensions the gap of that very distribution, and the perplexity that goes with it."""
    model = text_model(text_config, sentences, changes)
    assert isinstance(model.decoder, TextDecoder)
    head = model.decoder.head
    assert isinstance(head, FullHead)
    with torch.no_grad():
        head.weight.mul_(20.0)  # words are told apart by the states
    exact = evaluate(model, sentences, "test", 32, seed=7)
    for width, top in ((head.weight.shape[1], 1), (1, len(sentences.vocabulary))):
        found = evaluate_svd(model, sentences, "test", 32, 7, SvdHead(head, width, top))
        assert found["svd_gap"] == pytest.approx(0.0, abs=2e-4)
        assert found["svd_perplexity"] == pytest.approx(exact["perplexity"], rel=1e-5)
    svd = SvdHead(head, 2, 5)
    few, many = (evaluate_svd(model, sentences, "test", size, 7, svd) for size in (3, 1000))
    assert few == pytest.approx(many, rel=1e-4)
    monkeypatch.setattr(head, "nll", svd.nll)
    monkeypatch.setattr(head, "log_probs", svd.log_probs)
    instead = evaluate(model, sentences, "test", 32, seed=7)
    assert many["svd_gap"] == pytest.approx(instead["neg_elbo"] - exact["neg_elbo"], rel=1e-3)
    assert many["svd_perplexity"] == pytest.approx(instead["perplexity"], rel=1e-5)
    assert abs(many["svd_gap"]) > 0.05  # of either sign: nothing is trained


@pytest.mark.parametrize("targets", ["include", "proposal"])
def test_the_gap_is_what_training_reports_too_much(targets: str, text_config: MakeConfig, sentences: TextData):
    """Zero logits, S of V words drawn evenly, each with c = S / V: Z' is V for proposal, c (1 / c + S / c) for include."""
    softmax = {"kind": "sampled", "samples": 64, "proposal": "uniform", "replacement": True, "targets": targets}
    model = build_model(text_config({"model.softmax": softmax}), sentences, make_generator(0, "init"))
    for weight in model.parameters():
        nn.init.zeros_(weight)
    split, words = sentences.splits["valid"], len(sentences.vocabulary)
    tokens_per_example = (int(split.offsets[-1]) + len(split)) / len(split)
    expected = tokens_per_example * (math.log(1 + 64) - math.log(words)) if targets == "include" else 0.0
    gap = evaluate(model, sentences, "valid", 32, seed=3)["softmax_gap"]
    assert gap == pytest.approx(expected, rel=1e-5, abs=1e-4)


def test_active_units_and_information_are_those_of_the_posterior(image_config: MakeConfig, digits: ImageData):
    """Means far apart, variance e^-9: hardly an image is mistaken for another, so that the information is all but log N."""
    model = build_model(image_config(), digits, make_generator(0, "init"))
    with torch.no_grad():
        model.posterior.layer.weight.mul_(100.0)
        model.posterior.layer.weight[4:] = 0.0
        model.posterior.layer.bias[4:] = -9.0
    scores = evaluate(model, digits, "valid", 64, seed=0)
    n = scores["mutual_information_n"]
    assert n == len(digits.splits["valid"])
    assert scores["active_units"] == 4.0
    assert math.log(n) - 0.1 < scores["mutual_information"] < math.log(n) + 1e-9


def test_importance_weighting_is_tighter_than_the_elbo_and_tightens_with_k(subject: tuple[VAE[Any], Data]):
    model, data = subject
    elbo = evaluate(model, data, "valid", 32, seed=0)["neg_elbo"]
    one, few, many = (importance_weighted(model, data, "valid", samples=k, seed=0) for k in (1, 10, 100))
    assert one.nll == pytest.approx(elbo, rel=0.02)
    assert one.nll > few.nll > many.nll
    assert (many.k, many.n) == (100, len(data.splits["valid"]))


@pytest.mark.parametrize(("samples", "max_bytes"), [(7, 1), (7, 100_000), (150, 1_000_000)])
def test_chunks_change_no_importance_weighted_score(subject: tuple[VAE[Any], Data], samples: int, max_bytes: int):
    """Of 150 samples the noise is drawn in three blocks, each of which is decoded in parts."""
    model, data = subject
    whole, chunked = (
        importance_weighted(model, data, "valid", samples=samples, examples=20, seed=0, max_bytes=size)
        for size in (2**40, max_bytes)
    )
    assert chunked.nll == pytest.approx(whole.nll, rel=1e-6)
    assert chunked.se == pytest.approx(whole.se, rel=1e-5)


def test_an_example_s_importance_weighted_score_does_not_depend_on_its_batch(
    subject: tuple[VAE[Any], Data], monkeypatch: pytest.MonkeyPatch
):
    model, data = subject
    whole = importance_weighted(model, data, "valid", samples=7, seed=0)
    monkeypatch.setattr("vae_core.evaluate._IMPORTANCE_BATCH", 3)
    in_threes = importance_weighted(model, data, "valid", samples=7, seed=0)
    assert in_threes.nll == pytest.approx(whole.nll, rel=1e-6)
    assert in_threes.se == pytest.approx(whole.se, rel=1e-5)


def test_the_seed_draws_the_noise_and_not_the_examples(text_config: MakeConfig, sentences: TextData):
    """So that trials of different seeds are scored on the same ones. Zero logits score nothing but which ones they are."""
    model, zero = text_model(text_config, sentences), build_model(text_config(), sentences, make_generator(0, "init"))
    for weight in zero.parameters():
        nn.init.zeros_(weight)
    first, again, other = (importance_weighted(model, sentences, "valid", samples=2, examples=9, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first.nll != other.nll
    one, two = (importance_weighted(zero, sentences, "valid", samples=2, examples=9, seed=s) for s in (1, 2))
    assert (one.nll, one.n) == (pytest.approx(two.nll, rel=1e-6), 9)


@pytest.mark.parametrize("examples", [1, 5, 9, 1000])
def test_a_part_of_the_split_is_spread_over_its_lengths(
    examples: int, text_config: MakeConfig, sentences: TextData, monkeypatch: pytest.MonkeyPatch
):
    """The middle sentence of each of so many equal stretches by length."""
    scored: list[int] = []
    bound = vae_core.evaluate._importance_weighted_part  # what is scored shows nowhere else
    monkeypatch.setattr(
        vae_core.evaluate, "_importance_weighted_part", lambda *given: scored.extend(given[3].tolist()) or bound(*given)
    )
    result = importance_weighted(text_model(text_config, sentences), sentences, "valid", samples=1, examples=examples)
    lengths = sentences.splits["valid"].lengths
    stretches = np.array_split(np.sort(lengths), min(examples, len(lengths)))
    assert result.n == len(scored) == len(set(scored)) == len(stretches)
    assert all(stretch[0] <= lengths[place] <= stretch[-1] for stretch, place in zip(stretches, scored, strict=True))


def test_scoring_stops_at_the_wanted_standard_error(subject: tuple[VAE[Any], Data], monkeypatch: pytest.MonkeyPatch):
    """As soon as it is reached and no sooner, on examples spread over the split; one out of reach is as none."""
    monkeypatch.setattr("vae_core.evaluate._STAGE", 8)
    model, data = subject
    scored: list[int] = []
    bound = vae_core.evaluate._importance_weighted_part
    monkeypatch.setattr(
        vae_core.evaluate, "_importance_weighted_part", lambda *given: scored.extend(given[3].tolist()) or bound(*given)
    )
    whole = importance_weighted(model, data, "valid", samples=2, seed=0)
    order = {place: rank for rank, place in enumerate(scored)}
    scored.clear()
    part = importance_weighted(model, data, "valid", samples=2, standard_error=2 * whole.se, seed=0)
    assert part == importance_weighted(model, data, "valid", samples=2, standard_error=2 * whole.se, seed=0)
    assert part.se <= 2 * whole.se
    assert part.n == len(scored) // 2 < whole.n
    ranks = np.sort([order[place] for place in scored[: part.n]])
    assert np.diff(ranks).max() <= 4 * whole.n / part.n
    without_the_last = importance_weighted(
        model, data, "valid", samples=2, examples=None, standard_error=part.se * 1.0001, seed=0
    )
    assert without_the_last.n == part.n
    least = importance_weighted(model, data, "valid", samples=2, standard_error=1e-9, seed=0)
    assert (least.n, least.nll) == (whole.n, pytest.approx(whole.nll, rel=1e-9))


def test_noise_is_the_example_s_own_however_it_is_cut():
    places = np.array([3, 8, 5])
    whole = torch.cat(list(_noise(places, 150, 2, seed=4, chunk=1000)))
    assert whole.shape == (150, 3, 2)
    for chunk in (1, 7, 64):
        parts = list(_noise(places, 150, 2, seed=4, chunk=chunk))
        assert max(map(len, parts)) == chunk
        assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(torch.cat(list(_noise(places[1:], 150, 2, seed=4, chunk=9))), whole[:, 1:])
    assert torch.equal(torch.cat(list(_noise(places, 20, 2, seed=4, chunk=9))), whole[:20])
    assert len(whole.unique()) == whole.numel()
    assert whole.mean().item() == pytest.approx(0.0, abs=4 / whole.numel() ** 0.5)
    assert whole.var().item() == pytest.approx(1.0, abs=4 * (2 / whole.numel()) ** 0.5)


def test_noise_of_many_samples_is_never_held_whole(text_config: MakeConfig, sentences: TextData):
    """100,000 samples of 16 examples in 32 dimensions are 205 MB; what is held at a time does not grow with them."""
    parts = _noise(np.arange(16), 100_000, 32, seed=0, chunk=10**9)
    started = [next(parts) for _ in range(3)]
    assert all(part.untyped_storage().nbytes() < 2**18 for part in started)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_bytes_bound_the_batch_and_change_no_score(split: str, subject: tuple[VAE[Any], Data], monkeypatch: pytest.MonkeyPatch):
    model, data = subject
    longest: Any = data.batch(split, data.plan(split, 1, None)[-1], None)
    limit = 5 * model.decoder.bytes_per_sample(longest) + 1
    sizes: list[tuple[int, int]] = []
    encode = model.encode
    whole = evaluate(model, data, split, 1000, seed=0)
    monkeypatch.setattr(
        model, "encode", lambda batch: sizes.append((batch.size, model.decoder.bytes_per_sample(batch))) or encode(batch)
    )
    bounded = evaluate(model, data, split, 40, seed=0, max_bytes=limit)
    assert all(1 <= size <= 40 and size * each <= limit for size, each in sizes)
    assert sum(size for size, _ in sizes) == len(data.splits[split])
    assert max(size for size, _ in sizes) >= 5
    for name, value in whole.items():
        assert bounded[name] == pytest.approx(value, rel=2e-6, abs=2e-6), name
    sizes.clear()
    importance_weighted(model, data, split, samples=2, max_bytes=1)
    assert {size for size, _ in sizes} == {1}


def test_the_standard_error_is_that_of_the_mean_over_examples(text_config: MakeConfig, sentences: TextData):
    """Zero logits: an example's likelihood is its length times log V, known exactly."""
    model = build_model(text_config(), sentences, make_generator(0, "init"))
    for weight in model.parameters():
        nn.init.zeros_(weight)
    result = importance_weighted(model, sentences, "valid", samples=3, seed=0)
    nll = (sentences.splits["valid"].lengths + 1) * math.log(len(sentences.vocabulary))
    assert result.nll == pytest.approx(nll.mean(), rel=1e-6)
    assert result.se == pytest.approx(np.std(nll, ddof=1) / math.sqrt(len(nll)), rel=1e-6)
    assert result.perplexity == pytest.approx(len(sentences.vocabulary), rel=1e-6)


@pytest.mark.parametrize(("samples", "examples"), [(0, None), (5, 0)])
def test_no_samples_or_examples_is_an_error_that_says_so(subject: tuple[VAE[Any], Data], samples: int, examples: int | None):
    with pytest.raises(ValueError, match=f"samples={samples}, examples={examples}"):
        importance_weighted(*subject, "valid", samples=samples, examples=examples)
