"""Data sets of Hugging Face: by name from its hub or the cache of it, from a directory of files, or as saved to disk."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae_core.data.errors import DataError
from vae_core.data.splitting import SPLITS
from vae_core.data.tables import Cells, Row, collect, place_of

if TYPE_CHECKING:
    from vae_core.data.text_config import HuggingFace

_SAVED = ("dataset_dict.json", "state.json")
"""Of these ``save_to_disk`` writes one."""
_BATCH = 1000


def read_hugging_face(config: HuggingFace) -> dict[str, Cells]:
    """The cells of each split that is named.

    Raises:
        DataError: the library or the data set is not there, or it has no such split or column, or no text in it.
    """
    found = _open(config)
    named = {split: name for split in SPLITS if (name := getattr(config, split)) is not None}
    return {split: _cells(f"data.{split}", name, found, config) for split, name in named.items()}


def _open(config: HuggingFace) -> Mapping[str, Any]:
    """Every split that there is, by its name there."""
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            "data.kind: huggingface needs the library datasets: install it by pip install 'vae-sweeps[huggingface]'"
        ) from error
    from datasets.exceptions import DatasetsError

    datasets.disable_progress_bars()
    path = Path(config.name).expanduser()
    named = f"data.name: {config.name}" + ("" if config.config is None else f", data.config: {config.config},")
    if not path.is_dir() and (path.is_absolute() or config.name.startswith((".", "~")) or config.name.count("/") > 1):
        raise DataError(f"data.name: {config.name}: there is no such directory, and the names of the hub have at most one slash")
    try:
        if path.is_dir() and any((path / name).exists() for name in _SAVED):
            if config.config is not None:
                raise DataError(f"{named} was saved to disk, and so is one configuration: leave data.config out")
            found = datasets.load_from_disk(str(path))
        else:
            found = datasets.load_dataset(str(path) if path.is_dir() else config.name, config.config)
    except DataError:
        raise
    except (OSError, ValueError, DatasetsError) as error:
        said = str(error).partition("\n")[0].rstrip(".")
        raise DataError(f"{named} cannot be loaded: {said}") from error
    return found if isinstance(found, datasets.DatasetDict) else {str(found.split or "train"): found}


def _cells(field: str, split: str, found: Mapping[str, Any], config: HuggingFace) -> Cells:
    if split not in found:
        near = difflib.get_close_matches(split, found, n=1)
        cure = f"did you mean {near[0]!r}?" if near else "name one of them"
        if field != "data.train":
            cure += ", or null to take a share of train"
        raise DataError(f"{field}: {config.name} has no split {split!r}; it has {', '.join(map(repr, found))}: {cure}")
    return collect(f"{field}: {config.name}, {split}", config, _rows(f"{field}: {config.name}, {split}", found[split], config))


def _rows(place: str, rows: Any, config: HuggingFace) -> Iterator[Row]:
    from datasets import ClassLabel

    columns = list(rows.column_names)
    place_of(place, config.column, columns, "data.column")
    type_ = rows.features[config.column]
    if getattr(type_, "dtype", None) not in ("string", "large_string"):
        raise DataError(f"{place}: column {config.column!r} holds {type_}, not text: name another with data.column")
    names, wanted = None, [config.column]
    if config.label_column is not None:
        place_of(place, config.label_column, columns, "data.label_column")
        wanted.append(config.label_column)
        label_type = rows.features[config.label_column]
        names = label_type.names if isinstance(label_type, ClassLabel) else None
    number = 0
    for batch in rows.select_columns(wanted).with_format(None).iter(_BATCH):
        texts = batch[config.column]
        labels = [None] * len(texts) if config.label_column is None else batch[config.label_column]
        for text, label in zip(texts, labels, strict=True):
            number += 1
            yield Row(f"{place}, row {number}", text, label if names is None else _name(label, names))


def _name(label: int | None, names: list[str]) -> str | None:
    """The name of a class; -1 is how test sets without labels have them."""
    return None if label is None or label < 0 else names[label]
