"""A trial's data as dataset inputs of its run: train, valid and test under one fingerprint, each with its size and source."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vae_core.data.remote import is_address

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

DATASET = "dataset"
"""Under which a worker says what its data are."""
CONTEXTS = {"train": "training", "valid": "validation", "test": "test"}
"""What the UI calls the use of a split."""


def dataset_inputs(said: Mapping[str, Any]) -> list[DatasetInput]:
    """What ``vae_core.data.describe`` says, as MLflow keeps it.

    A split is a data set of its own name, for MLflow takes one of a name and digest a single time a run.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    return [
        DatasetInput(
            Dataset(
                name=f"{said['name']} {split}",
                digest=said["digest"],
                source_type=kind,
                source=json.dumps(source),
                schema=json.dumps(_schema(said)),
                profile=json.dumps(_profile(said, sizes)),
            ),
            [InputTag(MLFLOW_DATASET_CONTEXT, CONTEXTS[split])],
        )
        for split, sizes in said["splits"].items()
        for kind, source in (_source(said["kind"], sizes["source"]),)
    ]


def _source(kind: str, place: Any) -> tuple[str, dict[str, Any]]:
    """The type of the source, and the source itself, as MLflow's own data sets write them."""
    if place is None:
        return "code", {"tags": {"mlflow.source.name": kind, "mlflow.source.type": "LIBRARY"}}
    if kind == "huggingface":
        return "hugging_face", {"path": place}
    name, labels = (place, {}) if isinstance(place, str) else (", ".join(place.values()), {"labels": place})
    return ("http", {"url": name, **labels}) if is_address(name) else ("local", {"uri": name, **labels})


def _profile(said: Mapping[str, Any], sizes: Mapping[str, Any]) -> dict[str, Any]:
    own = {f"num_{name}": size for name, size in sizes.items() if name != "source"}
    return {"num_rows": sizes["examples"], **own, **{name: said[name] for name in ("vocabulary", "labels") if name in said}}


def _schema(said: Mapping[str, Any]) -> dict[str, Any]:
    """One column of text, or one tensor; and the label, where there is one."""
    if said["modality"] == "image":
        tensor = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, *said["shape"]]}}
        label = {"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}
        return {
            "mlflow_tensorspec": {
                "features": json.dumps([tensor]),
                "targets": json.dumps([label]) if "labels" in said else None,
            }
        }
    names = ("text", "label") if "labels" in said else ("text",)
    return {"mlflow_colspec": [{"type": "string", "name": name, "required": True} for name in names]}
