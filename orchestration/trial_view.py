"""One finished trial for a person: its configuration, scores and samples, and new samples from its model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dashboards.errors import UnknownRun
from dashboards.home import Home
from dashboards.trial import TrialRecord, find_trial, trial_artifacts
from orchestration.output import OutputFault, with_output, write_output

if TYPE_CHECKING:
    from vae_core.decoding import AnyDecoding

_SHOWN_LINES = 12
_PROVENANCE = ("seed", "config.fingerprint", "data.fingerprint", "git.commit", "threads", "torch")


def trial_text(run: str, where: Home) -> str:
    """What ``show`` prints."""
    record = find_trial(run, tracking_uri=where.tracking_uri)
    state, reason = record.tags.get("trial.state", ""), record.tags.get("trial.reason", "")
    blocks = [
        f"{record.sweep}/{record.number}  {state}{f' ({reason})' if reason else ''}  run {record.run_id}",
        _block("record", {name: record.tags[name] for name in _PROVENANCE if name in record.tags}),
        _block("configuration", record.parameters),
        _block("scores", {name: f"{value:.6g}" for name, value in record.metrics.items()}),
        *_samples(record, where),
    ]
    return "\n\n".join(blocks)


def _block(title: str, values: dict[str, str]) -> str:
    width = max(map(len, values), default=0)
    return "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in sorted(values.items()))])


def _samples(record: TrialRecord, where: Home) -> list[str]:
    try:
        with trial_artifacts(record, "samples", tracking_uri=where.tracking_uri) as directory:
            files = sorted(directory.iterdir())
            texts = [(file.stem, file.read_text().splitlines()) for file in files if file.suffix == ".txt"]
            pictures = [file.name for file in files if file.suffix == ".png"]
    except UnknownRun:  # pruned and failed trials keep none
        return []
    blocks = ["\n".join([title, *(f"  {line}" for line in lines[:_SHOWN_LINES])]) for title, lines in texts]
    if pictures:
        blocks.append(f"pictures, in the MLflow UI under Artifacts, samples/: {', '.join(pictures)}")
    return blocks


def generate_samples(run: str, number: int, decoding: AnyDecoding | None, seed: int, output: Path | None, where: Home) -> str:
    """Decodes codes drawn from the prior; what is returned is for the terminal.

    Args:
        decoding: how the words are chosen; None: drawn from the model.
        output: where the sentences, one a line, or the picture go.

    Raises:
        UnknownRun: there is no such trial, or it kept no model.
        OutputFault: images without a file to write them to, or a file that cannot be written.
        DecodingFault: images, and a way to choose words.
    """
    from orchestration.decoding_flags import DecodingFault
    from vae_core.checkpoint import load_model
    from vae_core.data.config import TextConfig
    from vae_core.decoding import Ancestral
    from vae_core.generate import decode_images, decode_text, grid, prior_codes, write_png

    record = find_trial(run, tracking_uri=where.tracking_uri)
    with trial_artifacts(record, "checkpoint", tracking_uri=where.tracking_uri) as directory:
        loaded = load_model(directory)
    codes = prior_codes(loaded.model, number, seed)
    if loaded.shape is not None:
        if decoding is not None:
            raise DecodingFault("these samples are images: --decoding and its options choose the words of a text")
        if output is None or output.suffix.lower() != ".png":
            raise OutputFault("these samples are images: name a picture with --output FILE.png")
        picture, scale = grid(decode_images(loaded.model, codes, loaded.shape)), max(1, 64 // loaded.shape[0])
        with_output(output, lambda: write_png(picture, output, scale))
        return f"wrote {output}"
    data = loaded.config.data
    assert isinstance(data, TextConfig)
    sentences = decode_text(loaded.model, codes, data.max_length, decoding or Ancestral(), seed=seed)
    if output is None:
        return "\n".join(sentences)
    write_output(output, "".join(f"{sentence}\n" for sentence in sentences))
    return f"wrote {output}"
