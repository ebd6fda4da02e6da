"""The diagnosis agrees with the scores, knows closed forms, and finds a copyist."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

import vae_core.diagnosis
from orchestration.messages import Job
from orchestration.worker import run_trial
from tests.vae_core.conftest import MakeConfig
from vae_core.codes import Codes
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.diagnosis import SAMPLES, write_diagnosis
from vae_core.evaluate import evaluate
from vae_core.latent.config import AnyLatent
from vae_core.latent.gaussian import DiagonalGaussian
from vae_core.latent.labelled import LabelGaussians
from vae_core.metrics import DIAGNOSIS, SVD
from vae_core.model import build_model
from vae_core.seeding import derive_seed, make_generator

LATENTS = [member.model_fields["kind"].default for member in get_args(get_args(AnyLatent)[0])]

SCORES = {"test/distortion": 3.0, "test/rate": 2.0, "test/neg_elbo": 5.0}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("latent", LATENTS)
@pytest.mark.parametrize("modality", ["text", "image"])
def test_it_agrees_with_the_scores_of_the_split(
    modality: str, latent: str, text_config: MakeConfig, image_config: MakeConfig, sentences: TextData, digits: ImageData,
    tmp_path: Path,
) -> None:  # fmt: skip
    config = (text_config if modality == "text" else image_config)({"model.latent": {"kind": latent}})
    data = sentences if modality == "text" else digits
    model = build_model(config, data, make_generator(1, "init"))
    scores = evaluate(model, data, "test", 16, derive_seed(config.seed, "test"))
    metrics = write_diagnosis(model, config, data, {f"test/{name}": value for name, value in scores.items()}, tmp_path)
    assert metrics.keys() == {metric.name for metric in DIAGNOSIS if metric.modality in (None, modality)}
    assert all(math.isfinite(value) for value in metrics.values())
    summary = json.loads((tmp_path / "summary.json").read_text())
    for name in ("distortion", "rate", "neg_elbo"):
        assert summary["distortion_rate"][name] == scores[name]
    assert summary["information"]["mutual_information"] == pytest.approx(scores["mutual_information"], rel=1e-5, abs=1e-6)
    assert summary["active_units"]["count"] == scores["active_units"]
    assert metrics["test/marginal_kl"] == pytest.approx(scores["rate"] - scores["mutual_information"], rel=1e-5, abs=1e-5)
    kl = [float(row["kl"]) for row in table(tmp_path / "kl.csv")]
    assert sum(kl) == pytest.approx(scores["rate"], rel=1e-5)
    assert kl == sorted(kl, reverse=True)
    dimensions = table(tmp_path / "dimensions.csv")
    assert len(dimensions) == model.latent_size
    assert sum(int(row["active"]) for row in dimensions) == scores["active_units"]


def test_an_svd_softmax_is_scored_where_it_is_asked_for(text_config: MakeConfig, sentences: TextData, tmp_path: Path) -> None:
    """At the samples of the exact score, so that the two perplexities are one where all of the width is taken."""
    config = text_config({"evaluation.svd": {"width": 16, "top": 1}, "evaluation.samples": 0})
    model = build_model(config, sentences, make_generator(1, "init"))
    scores = evaluate(model, sentences, "test", 16, derive_seed(config.seed, "test"))
    metrics = write_diagnosis(model, config, sentences, {f"test/{name}": value for name, value in scores.items()}, tmp_path)
    assert {metric.name for metric in SVD} <= metrics.keys()
    assert metrics["test/svd_perplexity"] == pytest.approx(scores["perplexity"], rel=1e-6)
    assert metrics["test/svd_gap"] == pytest.approx(0.0, abs=1e-4)
    assert json.loads((tmp_path / "summary.json").read_text())["svd"]["width"] == 16


def test_a_prior_without_a_closed_form_has_its_rate_in_one_row(
    image_config: MakeConfig, digits: ImageData, tmp_path: Path
) -> None:
    config = image_config({"model.prior": {"kind": "mixture", "components": 3}})
    model = build_model(config, digits, make_generator(1, "init"))
    write_diagnosis(model, config, digits, SCORES, tmp_path)
    assert json.loads((tmp_path / "summary.json").read_text())["distortion_rate"]["rate_estimator"] == "monte carlo"
    assert len(table(tmp_path / "kl.csv")) == 1


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_the_marginal_kl_of_gaussian_codes_is_their_closed_form(
    shift: float, image_config: MakeConfig, digits: ImageData
) -> None:
    """Means N(a, 1 - v) and variance v give q(z) = N(a, I): a^2 / 2 nats a dimension, and the rest is information."""
    n, size, variance = 4000, 2, 0.5
    generator = torch.Generator().manual_seed(0)
    means = shift + math.sqrt(1 - variance) * torch.randn(n, size, dtype=torch.float64, generator=generator)
    posterior = DiagonalGaussian(means, torch.full_like(means, math.log(variance)))
    z = posterior.draw(1, generator)[0]
    codes = Codes(posterior, z, posterior.kl_per_dimension())
    model = build_model(image_config(), digits, make_generator(0, "init"))
    summary, metrics = vae_core.diagnosis._code_summary(model, codes, SCORES)
    assert summary["information"]["examples"] == 2048
    assert summary["information"]["mutual_information"] == pytest.approx(-0.5 * size * math.log(variance), abs=0.05)
    assert metrics["test/marginal_kl"] == pytest.approx(0.5 * size * shift**2, abs=0.06)


def test_the_moments_of_the_aggregate_posterior(image_config: MakeConfig, digits: ImageData, tmp_path: Path) -> None:
    """A posterior that sees nothing: N(1, 4) in every dimension, for the prior's N(0, 1)."""
    config = image_config()
    model = build_model(config, digits, make_generator(0, "init"))
    with torch.no_grad():
        model.posterior.layer.weight.zero_()
        model.posterior.layer.bias.copy_(torch.tensor([1.0] * 4 + [math.log(4.0)] * 4))
    metrics = write_diagnosis(model, config, digits, SCORES, tmp_path)
    exact = 0.5 * (1 + 4 - 1 - math.log(4.0))
    n = len(digits.splits["test"])
    for row in table(tmp_path / "dimensions.csv"):
        assert float(row["mean_of_means"]) == pytest.approx(1.0)
        assert float(row["variance_of_means"]) == pytest.approx(0.0, abs=1e-12)
        assert row["active"] == "0"
        assert float(row["mean"]) == pytest.approx(1.0, abs=4 * 2 / math.sqrt(n))
        assert float(row["variance"]) == pytest.approx(4.0, abs=4 * 4 * math.sqrt(2 / n))
        assert float(row["prior_mean"]) == pytest.approx(0.0, abs=4 / 64)
        assert float(row["prior_variance"]) == pytest.approx(1.0, abs=4 * math.sqrt(2) / 64)
    assert [float(row["kl"]) for row in table(tmp_path / "kl.csv")] == pytest.approx([exact] * 4, rel=1e-6)
    assert metrics["test/marginal_kl"] == pytest.approx(4 * exact, rel=1e-6)  # nothing of the rate is information


def test_a_copyist_is_found(
    text_config: MakeConfig, sentences: TextData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the samples are one training sentence, the others that sentence and one word more."""
    train = sentences.splits["train"]
    original: list[int] = train.tokens[train.offsets[7] : train.offsets[8]].tolist()
    rare = len(sentences.vocabulary) - 3

    def decode(*_: Any, **__: Any) -> list[list[int]]:
        return [original, [*original, rare]] * (SAMPLES // 2)

    monkeypatch.setattr(vae_core.diagnosis, "decode_ids", decode)
    config = text_config()
    metrics = write_diagnosis(build_model(config, sentences, make_generator(0, "init")), config, sentences, SCORES, tmp_path)
    assert metrics["test/copied"] == 0.5
    assert metrics["test/distinct_1"] == pytest.approx((len(set(original)) + 1) / (100 * (2 * len(original) + 1)))
    assert metrics["test/self_bleu"] == pytest.approx(1.0)
    rows = table(tmp_path / "samples.csv")
    assert len(rows) == SAMPLES
    assert [(row["copied"], row["distance"]) for row in rows[:2]] == [("1", "0"), ("0", "1")]
    assert {row["nearest"] for row in rows} == {sentences.vocabulary.decode(original)}


def test_samples_have_labels_as_often_as_train_has_them(
    text_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence in ten is of label b, whose prior lies elsewhere: codes and decoder are told the same labels."""
    path = tmp_path / "rows.jsonl"
    rows = [{"text": f"the w{place % 7} is here", "y": "b" if place % 10 == 0 else "a"} for place in range(300)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    changes = {"data": {"kind": "json_lines", "train": str(path), "label_column": "y"}}
    config = text_config(changes | {"model.prior": {"kind": "label"}, "model.condition": {"embedding": 3}})
    data = config.data.load()
    assert isinstance(data, TextData)
    model = build_model(config, data, make_generator(0, "init"))
    assert isinstance(model.prior, LabelGaussians)
    with torch.no_grad():
        model.prior.mean[1] = 100.0
    told: list[list[bool]] = []

    def decode(model: Any, z: torch.Tensor, *_: Any, labels: torch.Tensor, **__: Any) -> list[list[int]]:
        told.append(labels.bool().tolist())
        assert told[-1] == (z[:, 0] > 50.0).tolist()
        return [[5]] * len(z)

    monkeypatch.setattr(vae_core.diagnosis, "decode_ids", decode)
    write_diagnosis(model, config, data, SCORES, tmp_path)
    labels = data.splits["train"].labels
    assert labels is not None
    share = float(labels.mean())
    assert sum(told[0]) == pytest.approx(SAMPLES * share, abs=4 * math.sqrt(SAMPLES * share))
    for row in table(tmp_path / "dimensions.csv"):
        assert float(row["prior_mean"]) == pytest.approx(100.0 * share, abs=400 * math.sqrt(share / 4096))


def test_it_draws_from_its_own_generators_alone(text_config: MakeConfig, sentences: TextData, tmp_path: Path) -> None:
    config = text_config()
    model = build_model(config, sentences, make_generator(0, "init"))
    before = torch.get_rng_state()
    first, again = (write_diagnosis(model, config, sentences, SCORES, tmp_path / name) for name in ("one", "two"))
    assert first == again
    assert (tmp_path / "one" / "samples.csv").read_bytes() == (tmp_path / "two" / "samples.csv").read_bytes()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_trial_reports_it_beside_its_final_scores(image_config: MakeConfig, digits: ImageData, tmp_path: Path) -> None:
    config = image_config({"training.epochs": 1})
    messages = list(run_trial(Job(0, config.to_dict(), str(tmp_path)), digits))
    [final] = [message for message in messages if message.kind == "final"]
    assert {"test/marginal_kl", "test/rate", "best/val/neg_elbo"} <= final.metrics.keys()
    names = sorted(path.name for path in (tmp_path / "artifacts" / "diagnosis").iterdir())
    assert names == ["dimensions.csv", "kl.csv", "summary.json"]
