"""How sentences are decoded, as the user says it."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestration import evaluation, trial_view
from orchestration.cli import app
from orchestration.commands.trials import Decoding
from orchestration.decoding_flags import DecodingFault, decoding_of, svd_of
from vae_core.decoding import DECODINGS, Ancestral, AnyDecoding, Beam, Greedy, Nucleus, TopK


def test_the_command_offers_every_method() -> None:
    assert [kind.value for kind in Decoding] == list(DECODINGS)


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        (None, {"k": None}, None),
        (None, {"temperature": 0.5}, Ancestral(temperature=0.5)),
        ("greedy", {}, Greedy()),
        ("top-k", {"k": 3, "temperature": None}, TopK(k=3)),
        ("nucleus", {"p": 0.5, "temperature": 2.0}, Nucleus(p=0.5, temperature=2.0)),
        ("beam", {"beams": 2, "length_penalty": 0.0}, Beam(beams=2, length_penalty=0.0)),
    ],
)
def test_what_is_said_is_what_is_done(kind: str | None, options: dict[str, float | None], expected: AnyDecoding | None) -> None:
    assert decoding_of(kind, options) == expected


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("greedy", {"temperature": 0.5}, "--decoding greedy has no --temperature: that is an option of --decoding ancestral and"),
        (None, {"beams": 3}, "--decoding ancestral, the default, has no --beams: that is an option of --decoding beam"),
        ("beam", {"k": 3}, "--decoding beam has no --k: that is an option of --decoding top-k"),
        ("ancestral", {"temperature": 0.0}, "--temperature 0.0: input should be greater than 0; --decoding greedy"),
        ("beam", {"length_penalty": -1.0}, "--length-penalty -1.0: input should be greater than or equal to 0"),
    ],
)
def test_what_makes_no_sense_is_refused(kind: str | None, options: dict[str, float | None], message: str) -> None:
    with pytest.raises(DecodingFault) as caught:
        decoding_of(kind, options)
    assert message in str(caught.value)


def test_the_options_reach_the_decoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = SimpleNamespace()
    monkeypatch.setattr(trial_view, "generate_samples", lambda *arguments: seen.__setattr__("arguments", arguments) or "")
    monkeypatch.setattr("orchestration.commands.trials.locate", lambda *_: None)
    flags = ["--decoding", "beam", "--beams", "3", "--length-penalty", "0.5"]
    done = CliRunner().invoke(app, ["generate", "x/1", "-n", "4", *flags, "--home", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert seen.arguments[:3] == ("x/1", 4, Beam(beams=3, length_penalty=0.5))
    assert CliRunner().invoke(app, ["generate", "x/1", "--decoding", "nuclear"]).exit_code == 2


def keep_text_model(softmax: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """An untrained model of a few characters, where a finished trial's is looked for; where that is."""
    from vae_core.checkpoint import save_model
    from vae_core.config import TrialConfig
    from vae_core.model import build_model
    from vae_core.seeding import make_generator

    (tmp_path / "train.txt").write_text("a cab\nbad cabbage\n" * 10)
    plain = {
        "data": {"kind": "text_file", "train": str(tmp_path / "train.txt"), "tokens": "character", "max_length": 12},
        "model": {
            "encoder": {"kind": "lstm", "embedding": 4, "hidden": 4},
            "decoder": {"kind": "lstm", "hidden": 4},
            "latent": {"kind": "gaussian", "size": 2},
            "softmax": softmax,
        },
        "objective": {"kind": "elbo"},
        "training": {"epochs": 1, "batch_size": 4},
    }
    config = TrialConfig.from_dict(plain)
    data = config.data.load()
    save_model(build_model(config, data, make_generator(0, "init")), config, data, tmp_path / "checkpoint")
    monkeypatch.setattr(trial_view, "find_trial", lambda run, tracking_uri: run)
    monkeypatch.setattr(trial_view, "trial_artifacts", lambda *_, **__: nullcontext(tmp_path / "checkpoint"))
    return SimpleNamespace(tracking_uri="")


def test_a_text_model_decodes_as_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from orchestration.output import OutputFault

    where = keep_text_model({"kind": "full"}, monkeypatch, tmp_path)

    def lines(decoding: AnyDecoding | None) -> list[str]:
        return trial_view.generate_samples("x/1", 30, decoding, 0, None, where).split("\n")

    assert lines(None) == lines(Ancestral()) != lines(Greedy())
    assert lines(TopK(k=1)) == lines(Greedy()) == lines(Beam(beams=1, length_penalty=0.0))
    assert set("".join(lines(None)).replace("<unk>", "")) <= set("abcdge ")
    assert max(map(len, lines(None))) <= 12 * len("<unk>")
    with pytest.raises(OutputFault):
        trial_view.generate_samples("x/1", 1, None, 0, tmp_path / "none" / "a.txt", where)


@pytest.mark.parametrize("kind", ["full", "nce"])
def test_the_svd_softmax_gives_the_same_words_where_it_is_exact(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from vae_core.softmax.svd import SvdHead

    softmax = {"kind": "full"} if kind == "full" else {"kind": kind, "samples": 4}
    where = keep_text_model(softmax, monkeypatch, tmp_path)
    seen: list[tuple[int, int]] = []
    made = SvdHead.log_probs

    def watched(head: SvdHead, hidden: Any) -> Any:
        seen.append((head.width, head.top))
        return made(head, hidden)

    monkeypatch.setattr(SvdHead, "log_probs", watched)
    exact = trial_view.generate_samples("x/1", 30, None, 0, None, where)
    assert not seen
    for width, top in ((4, 1), (1, 11)):  # D; the vocabulary: seven characters and four special entries
        assert trial_view.generate_samples("x/1", 30, None, 0, None, where, None, (width, top)) == exact
        assert set(seen) == {(width, top)}
        seen.clear()


def test_evaluate_scores_the_svd_softmax_beside_the_exact_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    where = keep_text_model({"kind": "full"}, monkeypatch, tmp_path)
    record = SimpleNamespace(sweep="x", number=1)
    monkeypatch.setattr(evaluation, "find_trial", lambda run, tracking_uri: record)
    monkeypatch.setattr(evaluation, "trial_artifacts", lambda *_, **__: nullcontext(tmp_path / "checkpoint"))
    monkeypatch.setattr(evaluation, "recorded_data", lambda record, config: config.data.load())
    monkeypatch.setattr("orchestration.commands.again.locate", lambda *_: where)

    def scores(*flags: str) -> dict[str, str]:
        done = CliRunner().invoke(app, ["evaluate", "x/1", "--examples", "2", *flags])
        assert done.exit_code == 0, done.output
        return {line.split()[0]: line.split()[1] for line in done.output.splitlines()}

    exact = scores("--svd-width", "4", "--svd-top", "1")
    assert exact["svd_perplexity"] == exact["perplexity"]
    assert float(exact["svd_gap"]) == pytest.approx(0.0, abs=1e-4)
    assert "svd_gap" not in scores()
    done = CliRunner().invoke(app, ["evaluate", "x/1", "--svd-width", "5", "--svd-top", "1"])
    assert isinstance(done.exception, DecodingFault)
    assert "--svd-width: 5 must lie between 1 and the 4 features" in str(done.exception)


@pytest.mark.parametrize(
    ("softmax", "svd", "message"),
    [
        ({"kind": "full"}, (5, 3), "--svd-width: 5 must lie between 1 and the 4 features"),
        ({"kind": "full"}, (2, 12), "--svd-top: 12 must lie between 1 and the 11 words"),
        (
            {"kind": "hierarchical"},
            (2, 3),
            "--svd-width is for a full softmax, or what is scored by one; this model has kind: hier",
        ),
        ({"kind": "adaptive", "cutoffs": [3]}, (2, 3), "this model has kind: adaptive"),
    ],
)
def test_an_svd_softmax_that_cannot_be_is_refused(
    softmax: dict[str, Any], svd: tuple[int, int], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    where = keep_text_model(softmax, monkeypatch, tmp_path)
    with pytest.raises(DecodingFault) as caught:
        trial_view.generate_samples("x/1", 1, None, 0, None, where, None, svd)
    assert message in str(caught.value)


def test_the_svd_softmax_needs_both_of_its_words() -> None:
    assert svd_of(None, None) is None
    assert svd_of(3, 5) == (3, 5)
    with pytest.raises(DecodingFault, match="--svd-width needs --svd-top"):
        svd_of(3, None)
    with pytest.raises(DecodingFault, match="--svd-top needs --svd-width"):
        svd_of(None, 5)
