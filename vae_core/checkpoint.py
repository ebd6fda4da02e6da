"""Checkpoints: the state of a training that goes on, and the finished model that others load. Nothing is ever unpickled."""

from __future__ import annotations

import json
import logging
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model as read_weights
from safetensors.torch import save_model as write_weights

from vae_core.config import TrialConfig
from vae_core.data.vocabulary import WordList
from vae_core.model import VAE, Data, ModelSizes, build_model
from vae_core.trainer import Trainer

STATE, PREVIOUS = "state.pt", "state.previous.pt"
WEIGHTS, CONFIG = "weights.safetensors", "config.json"
VOCABULARY, SHAPE, LABELS = "vocabulary.json", "shape.json", "labels.json"


class CheckpointError(ValueError):
    """A checkpoint cannot be read; the message names the file."""


def save_state(trainer: Trainer, directory: Path, wait: bool = True) -> None:
    """Writes the trainer's state, whole or not at all; the state before it stays beside it.

    Args:
        wait: until it is on the disk. Else a power cut may damage it until the caller has brought it ``to_disk``, with the
            directory; that is found when it is read, and the one before it is taken.
    """
    directory.mkdir(parents=True, exist_ok=True)
    state = trainer.state_dict()

    def write(path: Path) -> None:
        with path.open("wb") as file:  # given a path, torch would hide that the disk is full
            torch.save(state, file)

    temporary = _write_temporary(directory / STATE, write, wait)
    if (directory / STATE).exists():
        (directory / STATE).replace(directory / PREVIOUS)
    temporary.replace(directory / STATE)
    if wait:
        to_disk(directory)


def load_state(directory: Path, tell: Callable[[str], object] | None = None) -> dict[str, Any] | None:
    """The newest undamaged state, its tensors on the CPU; None where none was ever written.

    Args:
        tell: hears what is wrong with a newer one; without it a warning is logged.

    Raises:
        CheckpointError: there are states, but none can be read.
    """
    faults = []
    for path in (directory / STATE, directory / PREVIOUS):
        if not path.exists():
            continue
        try:
            state = read_state(path)
        except CheckpointError as error:
            faults.append(str(error))
            continue
        if faults:
            (tell or logging.getLogger(__name__).warning)(f"going on from the state before: {faults[0]}")
        return state
    if faults:
        raise CheckpointError("no state can be read: " + "; ".join(faults))
    return None


def read_state(path: Path) -> dict[str, Any]:
    """One file's state, its tensors on the CPU.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        _require_whole(path)
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever it trips over in a damaged file
        raise CheckpointError(f"{path}: {type(error).__name__}: {str(error).partition(chr(10))[0]}") from error
    return state


def _require_whole(path: Path) -> None:
    """Torch reads a file with a flipped bit without a word: its reader leaves the checksums unread."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise CheckpointError(f"wrong checksum of {damaged}")


@dataclass(frozen=True)
class LoadedModel:
    """A finished model, and what it was built from."""

    model: VAE[Any]
    config: TrialConfig
    vocabulary: WordList | None
    """None for images."""
    shape: tuple[int, ...] | None
    """(H, W) or (H, W, C); None for text."""
    labels: tuple[str, ...] | None = None
    """Names of the labels by number; None where the data had none."""


def save_model(model: VAE[Any], config: TrialConfig, data: Data, directory: Path) -> None:
    """Writes weights.safetensors, config.json, vocabulary.json (text) or shape.json (images), labels.json where there are any."""
    directory.mkdir(parents=True, exist_ok=True)
    sizes = ModelSizes.of(data)
    if sizes.vocabulary is not None:
        _write_json(directory / VOCABULARY, sizes.vocabulary.to_dict())
    else:
        assert sizes.shape is not None
        _write_json(directory / SHAPE, list(sizes.shape))
    if sizes.labels is not None:
        _write_json(directory / LABELS, list(sizes.labels))
    _write_json(directory / CONFIG, config.to_dict())
    _write_temporary(directory / WEIGHTS, lambda path: write_weights(model, str(path))).replace(directory / WEIGHTS)
    to_disk(directory)


def load_model(directory: Path, device: torch.device | str = "cpu") -> LoadedModel:
    """Builds the model and fills in its weights; the training data are not needed.

    Raises:
        CheckpointError: a file is missing or damaged, or the weights are another model's.
    """
    for name in (CONFIG, WEIGHTS):
        if not (directory / name).exists():
            raise CheckpointError(f"{directory} holds no model: {name} is missing")
    config = _read(directory / CONFIG, TrialConfig.from_dict)
    vocabulary, shape = None, None
    if config.data.modality == "text":
        vocabulary = _read(directory / VOCABULARY, WordList.from_dict)
    else:
        shape = _read(directory / SHAPE, lambda sides: tuple(int(side) for side in sides))
    labels = _read(directory / LABELS, lambda names: tuple(str(name) for name in names)) if config.data.labelled else None
    model = build_model(config, ModelSizes(vocabulary, shape, labels), torch.Generator())
    try:
        read_weights(model, directory / WEIGHTS)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise CheckpointError(f"{directory / WEIGHTS}: {error}") from error
    return LoadedModel(model.to(device), config, vocabulary, shape, labels)


def _read(path: Path, parse: Callable[[Any], Any]) -> Any:
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:  # pydantic's and the data's errors are ValueErrors
        raise CheckpointError(f"{path}: {error}") from error


def _write_json(path: Path, plain: Any) -> None:
    text = json.dumps(plain, ensure_ascii=False)
    _write_temporary(path, lambda target: target.write_text(text, encoding="utf-8")).replace(path)


def _write_temporary(path: Path, write: Callable[[Path], object], wait: bool = True) -> Path:
    """Writes beside ``path``, and waits until it is on the disk; the caller renames, which is all or nothing."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        write(temporary)
        if wait:
            to_disk(temporary)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def to_disk(path: Path) -> None:
    """Waits until a file, or the names in a directory, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
