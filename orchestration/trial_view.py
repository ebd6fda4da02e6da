"""One finished trial for a person: its configuration, scores and samples, and new samples from its model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from dashboards.analysis import short_names
from dashboards.errors import UnknownRun
from dashboards.home import Home
from dashboards.schedules import TAG as SCHEDULE
from dashboards.schedules import in_words, is_changed, schedule_of
from dashboards.trial import TrialRecord, find_trial, trial_artifacts
from dashboards.variants import TAG
from orchestration.output import OutputFault, with_output, write_output

if TYPE_CHECKING:
    from vae_core.checkpoint import LoadedModel
    from vae_core.decoding import AnyDecoding

_SHOWN_LINES = 12
_PROVENANCE = ("seed", "config.fingerprint", "data.fingerprint", "git.commit", "threads", "torch")


def trial_text(run: str, where: Home) -> str:
    """What ``show`` prints."""
    record = find_trial(run, tracking_uri=where.tracking_uri)
    state, reason = record.tags.get("trial.state", ""), record.tags.get("trial.reason", "")
    variants = {name.removeprefix(TAG): value for name, value in record.tags.items() if name.startswith(TAG)}
    blocks = [
        f"{record.sweep}/{record.number}  {state}{f' ({reason})' if reason else ''}  run {record.run_id}",
        _block("record", {name: record.tags[name] for name in _PROVENANCE if name in record.tags}),
        *([_block("variants", variants)] if variants else []),
        *_schedule(record),
        _block("configuration", record.parameters),
        _block("scores", {name: f"{value:.6g}" for name, value in record.metrics.items()}),
        *_samples(record, where),
    ]
    return "\n\n".join(blocks)


def _block(title: str, values: dict[str, str]) -> str:
    width = max(map(len, values), default=0)
    return "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in sorted(values.items()))])


def _schedule(record: TrialRecord) -> list[str]:
    """What a member of a population descends from, where that is more than itself."""
    if not is_changed(record.tags):
        return []
    try:
        schedule = schedule_of(json.loads(record.tags[SCHEDULE]))
    except ValueError:  # MLflow cuts a long tag
        return ["schedule\n  too long for a tag: schedule.json, in the MLflow UI under Artifacts"]
    lines = in_words(schedule, short_names(list(schedule[-1].parameters)))
    return ["\n".join(["schedule (the configuration below is that of its end)", *(f"  {line}" for line in lines)])]


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


def generate_samples(
    run: str,
    number: int,
    decoding: AnyDecoding | None,
    seed: int,
    output: Path | None,
    where: Home,
    label: str | None = None,
    svd: tuple[int, int] | None = None,
    given: Path | None = None,
) -> str:
    """Decodes codes drawn from the prior, or those of a file; what is returned is for the terminal.

    Args:
        decoding: how the words are chosen; None: drawn from the model.
        output: where the sentences, one a line, or the picture go.
        label: of which label; None: ``number`` of each where the model tells them apart, each sentence behind its label.
        svd: width and top of the SVD softmax; None: the model's own softmax.
        given: a file of codes, which then are as many as it has.

    Raises:
        UnknownRun: there is no such trial, or it kept no model.
        OutputFault: images without a file to write them to, or a file that cannot be written.
        DecodingFault: images, and a way to choose words; or an SVD softmax of what is no full one, or out of its range.
        DataError: the model knows no such label, or none.
        CodesFault: the file holds no codes of this model.
    """
    import torch

    from orchestration.decoding_flags import DecodingFault, svd_head
    from orchestration.given_codes import read_codes
    from vae_core.checkpoint import load_model
    from vae_core.data.text_config import TextConfig
    from vae_core.decoding import Ancestral
    from vae_core.generate import PER_ROW, decode_images, decode_text, grid, prior_codes, scale_of, write_png

    record = find_trial(run, tracking_uri=where.tracking_uri)
    with trial_artifacts(record, "checkpoint", tracking_uri=where.tracking_uri) as directory:
        loaded = load_model(directory)
    labels = _labels(loaded, label)
    own = None if given is None else read_codes(given, loaded.model.latent_size)
    number = number if own is None else len(own)
    count = number * max(1, len(labels))
    told = torch.tensor(list(labels.values())).repeat_interleave(number) if labels else None
    codes = prior_codes(loaded.model, count, seed, told) if own is None else own.repeat(max(1, len(labels)), 1)
    if loaded.shape is not None:
        if decoding is not None or svd is not None:
            raise DecodingFault("these samples are images: --decoding, its options and --svd-width are for the words of a text")
        if output is None or output.suffix.lower() != ".png":
            raise OutputFault("these samples are images: name a picture with --output FILE.png")
        images = decode_images(loaded.model, codes, loaded.shape, told)
        columns = number if len(labels) > 1 else PER_ROW if own is None else min(PER_ROW, number)
        picture, scale = grid(images, columns), scale_of(loaded.shape)
        with_output(output, lambda: write_png(picture, output, scale))
        return f"wrote {output}"
    data = loaded.config.data
    assert isinstance(data, TextConfig)
    decoding, head = decoding or Ancestral(), None if svd is None else svd_head(loaded, svd)
    sentences = decode_text(loaded.model, codes, data.max_length, decoding, seed=seed, labels=told, svd=head)
    if len(labels) > 1:
        names = (name for name in labels for _ in range(number))
        sentences = [f"{name}\t{sentence}" for name, sentence in zip(names, sentences, strict=True)]
    if output is None:
        return "\n".join(sentences)
    write_output(output, "".join(f"{sentence}\n" for sentence in sentences))
    return f"wrote {output}"


def _labels(loaded: LoadedModel, label: str | None) -> dict[str, int]:
    """The labels to generate, by name; empty where the model tells none apart.

    Raises:
        DataError: one was asked for that the model does not know.
    """
    from vae_core.data.errors import DataError
    from vae_core.data.labels import label_number

    if not loaded.model.label_count:
        if label is not None:
            raise DataError(
                f"--label {label}: this model tells no labels apart: it has neither model.condition nor a prior a label"
            )
        return {}
    assert loaded.labels is not None
    names = loaded.labels if label is None else (label,)
    return {name: label_number(name, loaded.labels, f"--label {name}") for name in names}
