"""``generate --attribute``: test examples of a finished trial, changed towards a label."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dashboards.home import Home
from dashboards.trial import find_trial, trial_artifacts
from orchestration.output import OutputFault, with_output, write_output

if TYPE_CHECKING:
    from vae_core.decoding import AnyDecoding


def generate_changed(
    run: str,
    number: int,
    attribute: str,
    minus: str | None,
    decoding: AnyDecoding | None,
    seed: int,
    output: Path | None,
    where: Home,
) -> str:
    """Decodes test examples as an attribute is added to their codes; what is returned is for the terminal.

    Args:
        number: of the examples at most.
        attribute: the label that is added.
        minus: the one that is taken away, which the examples have; None: all others.
        decoding: how the words are chosen; None: the most likely one at each step.
        output: where the sentences or the picture go.

    Raises:
        UnknownRun: there is no such trial, or it kept no model.
        DataError: the data are not there or no longer those of the trial, or have no such label.
        OutputFault: images without a file to write them to, or a file that cannot be written.
        DecodingFault: images, and a way to choose words.
    """
    from orchestration.decoding_flags import DecodingFault
    from vae_core.attributes import (
        LabelMeans,
        attribute_numbers,
        changed,
        changed_images,
        changed_text,
        refuse_attributes,
        write_picture,
    )
    from vae_core.checkpoint import load_model
    from vae_core.data.errors import DataError
    from vae_core.data.text import TextData
    from vae_core.data.text_config import TextConfig

    record = find_trial(run, tracking_uri=where.tracking_uri)
    with trial_artifacts(record, "checkpoint", tracking_uri=where.tracking_uri) as directory:
        loaded = load_model(directory)
    if loaded.shape is not None and decoding is not None:
        raise DecodingFault("these examples are images: --decoding and its options choose the words of a text")
    if loaded.shape is not None and (output is None or output.suffix.lower() != ".png"):
        raise OutputFault("these examples are images: name a picture with --output FILE.png")
    refuse_attributes(loaded.config)
    data = loaded.config.data.load()
    trained_on = record.tags["data.fingerprint"]
    if data.fingerprint != trained_on:
        raise DataError(f"the data of {run} have changed since: their fingerprint is {data.fingerprint}, not {trained_on}")
    plus, less = attribute_numbers(data, attribute, minus)
    change = changed(loaded.model, data, LabelMeans.of(loaded.model, data), plus, less, number)
    if change is None:
        raise DataError(f"--attribute {attribute}: test has no example to change" + (f" with label {minus!r}" if minus else ""))
    if isinstance(data, TextData):
        assert isinstance(loaded.config.data, TextConfig)
        text = "\n".join(changed_text(loaded.model, data, change, loaded.config.data.max_length, decoding, seed))
        if output is None:
            return text.rstrip("\n")
        write_output(output, text)
    else:
        assert output is not None
        images = changed_images(loaded.model, data, change)
        with_output(output, lambda: write_picture(images, data.shape, output, [attribute] * len(change.index)))
    return f"wrote {output}"
