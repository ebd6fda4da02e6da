"""The trial's config: frozen, whole after a round trip, and free of torch until something is built."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from tests.vae_core.conftest import IMAGES, TEXT, MakeConfig
from vae_core.config import TrialConfig
from vae_core.configurable import flatten
from vae_core.data.config import LabelledFiles

IWAE = {"kind": "iwae"}
PID = {"kind": "pid", "nats": 3.0}
CATEGORICAL = {"kind": "categorical"}


@pytest.mark.parametrize("plain", [TEXT, IMAGES], ids=["text", "image"])
def test_a_round_trip_gives_the_same_config_and_fingerprint(plain: dict[str, Any]):
    config = TrialConfig.from_dict(plain)
    again = TrialConfig.from_dict(config.to_dict())
    assert again == config
    assert again.fingerprint() == config.fingerprint()
    assert len(config.fingerprint()) == 16


def test_the_fingerprint_sees_every_leaf(text_config: MakeConfig, every_dropout: dict[str, Any]):
    configs = [text_config(), *(text_config({name: value}) for name, value in every_dropout.items()), text_config({"seed": 1})]
    assert len({config.fingerprint() for config in configs}) == len(configs)


def test_a_default_written_out_is_the_same_trial(text_config: MakeConfig):
    assert (
        text_config({"model.softmax": {"kind": "full"}, "training.clip_norm": 5.0}).fingerprint() == text_config().fingerprint()
    )


def test_flat_names_are_those_of_the_tree(text_config: MakeConfig):
    flat = text_config({"model.softmax": {"kind": "adaptive", "cutoffs": [2, 5]}}).flat()
    assert flat["model.softmax.kind"] == "adaptive"
    assert flat["model.softmax.cutoffs"] == [2, 5]
    assert flat["training.patience"] is None
    assert flatten({"a": {"b": {"c": 1}}, "d": {}}) == {"a.b.c": 1}


@pytest.mark.parametrize(
    "path",
    [
        "sed",
        "model.encoder.hiden",
        "model.latent.sise",
        "model.decoder.variational_dropout.hiden",
        "training.epoch",
        "evaluation.k",
        "data.pth",
    ],
)
def test_unknown_keys_are_refused_by_their_place(path: str, text_config: MakeConfig):
    with pytest.raises(ValidationError) as caught:
        text_config({path: 1})
    assert any(fault["type"] == "extra_forbidden" and fault["loc"][-1] == path.split(".")[-1] for fault in caught.value.errors())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", -1),
        ("seed", True),
        ("seed", "0"),
        ("optimizer.lr", float("nan")),
        ("optimizer.lr", 0.0),
        ("training.epochs", 0),
        ("training.epochs", 2.5),
        ("objective.beta", -0.1),
        ("objective.free_bits", {"kind": "batch", "nats": 0.0}),
        ("objective.free_bits", {"kind": "dimension", "nats": 1.0}),
        ("objective.feedback", {"kind": "pid"}),
        ("objective.feedback", PID | {"min_weight": 1.0}),
        ("objective.feedback", {"kind": "capacity", "nats": 3.0, "gamma": 0.0}),
        ("objective.feedback", {"kind": "minimum_rate", "nats": 3.0, "lr": 0.0}),
        ("objective", {"kind": "iwae", "samples": 0}),
        ("objective", {"kind": "iwae", "beta": 0.5}),
        ("objective", {"kind": "wae_mmd", "scales": []}),
        ("objective", {"kind": "wae_adversary", "critic": {"kind": "jensen_shannon", "gradient_penalty": 1.0}}),
        ("objective", {"kind": "beta_tcvae", "estimator": "exact"}),
        ("objective.gradient_variance", 1),
        ("objective.gradient", {"kind": "score", "baseline": "leave_one_out"}),
        ("objective.gradient", {"kind": "score", "baseline": "none", "decay": 0.5}),
        ("model.decoder.dropout", 1.0),
        ("model.decoder.word_dropout", 1.1),
        ("model.softmax", {"kind": "adaptive", "cutoffs": [5, 5]}),
        ("model.softmax", {"kind": "adaptive", "cutoffs": []}),
        ("model.softmax", {"kind": "chunked", "chunk_mib": 0}),
        ("model.softmax", {"kind": "hierarchical", "classes": 0}),
        ("model.softmax", {"kind": "sampled", "targets": "mask"}),
        ("model.softmax", {"kind": "nce", "proposal": "unigram", "power": 1.5}),
        ("model.softmax", {"kind": "svd"}),
        ("model.decoder", {"kind": "transformer", "width": 10, "heads": 4}),
        ("model.encoder", {"kind": "transformer", "layers": 0}),
        ("model.encoder", {"kind": "conv", "kernel": 4}),
        ("model.decoder", {"kind": "conv", "channels": []}),
        ("model.initialisation", {"kind": "xavier", "gain": 0.0}),
        ("model.initialisation", {"kind": "uniform", "distribution": "normal"}),
        ("model.likelihood", {"kind": "gaussian", "variance": 0.0}),
        ("model.likelihood", {"kind": "gaussian", "variance": 1.0, "min_log_variance": -5.0}),
    ],
)
def test_values_out_of_range_are_refused(path: str, value: object, text_config: MakeConfig):
    with pytest.raises(ValidationError):
        text_config({path: value})


@pytest.mark.parametrize("kind", ["sampled", "nce", "negative_sampling"])
def test_a_power_needs_the_unigram_proposal(kind: str, text_config: MakeConfig):
    text_config({"model.softmax": {"kind": kind, "samples": 64, "proposal": "unigram", "power": 0.5}})
    with pytest.raises(ValidationError, match=r"power: 0\.5 is for proposal unigram; with uniform it must be null"):
        text_config({"model.softmax": {"kind": kind, "samples": 64, "proposal": "uniform", "power": 0.5}})


def test_a_whole_number_is_welcome_where_a_real_one_is_wanted(text_config: MakeConfig):
    assert text_config({"objective.beta": 1}).fingerprint() == text_config({"objective.beta": 1.0}).fingerprint()


def test_configs_are_frozen(text_config: MakeConfig):
    with pytest.raises(ValidationError, match="frozen"):
        text_config().seed = 3  # type: ignore[misc]  # the point


@pytest.mark.parametrize(
    ("base", "changes", "message"),
    [
        (TEXT, {"model.encoder": {"kind": "mlp"}}, "model.encoder.kind: mlp reads image, but data.kind: python_docs is text"),
        (TEXT, {"model.likelihood": {"kind": "bernoulli"}}, "bernoulli is for images"),
        (IMAGES, {"model.likelihood": {"kind": "categorical"}}, "categorical is for text"),
        (IMAGES, {"model.softmax": {"kind": "sampled"}}, "sampled is for text"),
        (IMAGES, {"model.softmax": {"kind": "chunked"}}, "chunked is for text"),
        (IMAGES, {"model.likelihood": {"kind": "gaussian"}}, "needs data.pixels: grey"),
        (IMAGES, {"model.likelihood": {"kind": "continuous_bernoulli"}}, "needs data.pixels: grey"),
        (IMAGES, {"data.pixels": "grey"}, "bernoulli .* take continuous_bernoulli or gaussian, or .* data.pixels: dynamic"),
        (IMAGES, {"data.pixels": "grey", "model.likelihood": {"kind": "bernoulli"}}, "bernoulli .* no likelihood of grey pixels"),
        (IMAGES, {"model.encoder": {"kind": "transformer"}}, "encoder.kind: transformer reads text, but .* digits is image"),
        (TEXT, {"model.decoder": {"kind": "conv"}}, "decoder.kind: conv reads image, but .* is text"),
        (
            TEXT,
            {"model.decoder": {"kind": "transformer", "tie_embeddings": True, "output_map": False}},
            r"tie_embeddings needs output_map where its states' width \(256\) is not embedding \(12\)",
        ),
        (TEXT, {"objective": IWAE, "model.softmax": {"kind": "nce"}}, "iwae weighs samples by likelihood"),
        (
            IMAGES,
            {
                "objective.gradient": {"kind": "score"},
                "model.latent": CATEGORICAL | {"classes": 3, "variables": 2, "estimator": {"kind": "marginal"}},
            },
            r"estimator\.kind: marginal has no effect beside objective\.gradient\.kind: score",
        ),
        (
            IMAGES,
            {"objective": {"kind": "wae_mmd"}, "model.latent": CATEGORICAL},
            "wae_mmd compares continuous codes, not .*categ",
        ),
        (TEXT, {"objective": {"kind": "wae_adversary"}, "model.latent": CATEGORICAL}, "wae_adversary compares continuous codes"),
        (
            IMAGES,
            {"objective": {"kind": "wae_adversary", "encoder": "deterministic"}, "model.latent": {"kind": "vmf"}},
            r"objective\.encoder: deterministic takes the mean of a Gaussian, not of model\.latent\.kind: vmf",
        ),
        (IMAGES, {"objective": {"kind": "wae_mmd", "encoder": "deterministic"}}, r"fix it by model\.latent\.variance"),
        (
            IMAGES,
            {"objective": {"kind": "wae_adversary"}, "training.accumulate": 2},
            r"training\.accumulate: 2 trains a copy of the critic of objective\.kind: wae_adversary on each batch",
        ),
        (IMAGES, {"objective": {"kind": "factor_vae"}, "training.accumulate": 2}, r"training\.accumulate: 2 .* factor_vae"),
        (
            IMAGES,
            {"objective": {"kind": "wae_mmd"}, "model.prior": {"kind": "vamp"}},
            r"a prior that stays: model\.prior\.kind: vamp",
        ),
        (
            IMAGES,
            {"objective": {"kind": "wae_mmd"}, "training.batch_size": 1},
            "wae_mmd compares the codes of a batch: .* 2 or more",
        ),
        *(
            (
                IMAGES,
                {"objective": {"kind": kind}, "training.procedure": {"kind": "aggressive"}},
                f"run ahead of the critic of .*{kind}",
            )
            for kind in ("wae_adversary", "factor_vae")
        ),
        (IMAGES, {"objective": {"kind": "beta_tcvae"}, "training.batch_size": 1}, "beta_tcvae compares the codes of a batch"),
        (IMAGES, {"objective": {"kind": "factor_vae"}, "training.batch_size": 1}, "factor_vae compares the codes of a batch"),
        (
            IMAGES,
            {"objective": {"kind": "beta_tcvae"}, "model.latent": {"kind": "vmf"}},
            "takes a code apart by dimension.*not vmf",
        ),
        (
            TEXT,
            {"objective": {"kind": "factor_vae"}, "model.latent": CATEGORICAL},
            "takes a code apart by dimension.*not categorical",
        ),
        (
            IMAGES,
            {"objective": {"kind": "beta_tcvae"}, "model.prior": {"kind": "mixture"}},
            "beta_tcvae needs a prior of independent dimensions, not .*mixture",
        ),
        (TEXT, {"objective": IWAE, "model.softmax": {"kind": "negative_sampling"}}, "negative_sampling trains none"),
        (IMAGES, {"objective.feedback": PID, "objective.beta": 0.5}, r"objective\.beta: 0\.5 has no effect beside .*pid"),
        (
            IMAGES,
            {"objective.feedback": PID, "objective.annealing": {"kind": "linear"}},
            r"objective\.annealing\.kind: linear has no effect beside .*pid",
        ),
        (
            IMAGES,
            {"objective.feedback": PID, "objective.free_bits": {"kind": "batch", "nats": 0.1}},
            r"free_bits\.kind: batch and objective\.feedback\.kind: pid both hold the rate",
        ),
        (TEXT, {"model.decoder.tie_embeddings": True, "model.decoder.output_map": False}, "tie_embeddings needs output_map"),
        (TEXT, {"model.softmax": {"kind": "adaptive", "cutoffs": [9, 400]}}, r"cutoffs: 400 leaves no word .*max_size: 400"),
        (TEXT, {"model.softmax": {"kind": "hierarchical", "classes": 401}}, r"classes: 401 are more than the words, .*: 400"),
        (TEXT, {"model.softmax": {"kind": "sampled", "samples": 401}}, r"samples: 401 different words cannot .*max_size: 400"),
        (TEXT, {"model.softmax": {"kind": "one_vs_each", "samples": 400}}, r"samples: 400 other words than the target .*: 400"),
        (IMAGES, {"evaluation.svd": {"width": 2, "top": 3}}, r"evaluation\.svd is of a softmax over words"),
        *(
            (TEXT, {"evaluation.svd": {"width": 2, "top": 3}, "model.softmax": {"kind": kind}}, f"{kind} is scored by another")
            for kind in ("adaptive", "hierarchical")
        ),
        (TEXT, {"evaluation.svd": {"width": 17, "top": 3}}, r"svd\.width: 17 is above 16, the width of what the softmax reads"),
        (
            TEXT,
            {"evaluation.svd": {"width": 13, "top": 3}, "model.decoder.tie_embeddings": True},
            r"svd\.width: 13 is above 12, the width of what",
        ),
        (TEXT, {"evaluation.svd": {"width": 4, "top": 401}}, r"svd\.top: 401 is above data\.vocabulary\.max_size: 400"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(
    base: dict[str, Any], changes: dict[str, Any], message: str, text_config: MakeConfig, image_config: MakeConfig
):
    make = text_config if base is TEXT else image_config
    with pytest.raises(ValidationError, match=message):
        make(changes)


@pytest.mark.parametrize(
    "softmax",
    [
        {"kind": "adaptive", "cutoffs": [9, 399]},
        {"kind": "hierarchical", "classes": 400},
        {"kind": "sampled", "samples": 400},
        {"kind": "sampled", "samples": 401, "replacement": True},
        {"kind": "nce", "samples": 401},
        {"kind": "one_vs_each", "samples": 399},
    ],
)
def test_as_many_words_as_there_may_be_are_allowed(softmax: dict[str, Any], text_config: MakeConfig):
    assert text_config({"model.softmax": softmax}).model.softmax.kind == softmax["kind"]


def test_checking_a_config_loads_neither_torch_nor_numpy():
    code = "import sys, vae_core.config; print([name for name in ('torch', 'numpy', 'sklearn') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_equal_configs_have_equal_hashes_with_a_mapping_among_their_fields() -> None:
    plain = {"kind": "labelled_files", "train": {"pos": "a.txt", "neg": "b.txt"}}
    assert hash(LabelledFiles.from_dict(plain)) == hash(LabelledFiles.from_dict(plain))
    assert len({LabelledFiles.from_dict(plain), LabelledFiles.from_dict(plain | {"max_length": 7})}) == 2
