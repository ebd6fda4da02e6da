"""The files that make a trial's ``checkpoint/`` a model of MLflow: its description, beside the weights and no copy of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.pyfunc_model import DEFAULTS

if TYPE_CHECKING:
    from mlflow.models import Model
    from mlflow.models.signature import ModelSignature

FOLDER = "checkpoint"
_WEIGHTS, _SHAPE = "weights.safetensors", "shape.json"  # as in vae_core.checkpoint, which would import torch
_REQUIRED = ("vae-sweeps", "torch", "mlflow", "safetensors", "numpy", "pandas")


def write_model_files(checkpoint: Path, run_id: str, target: Path) -> Model | None:
    """Writes MLmodel and requirements.txt for the model in ``checkpoint`` into ``target``; None where it has no model.

    MLflow's own ``log_model`` would copy the weights, and import the model to find out what it needs.

    Raises:
        ValueError: its files are damaged.
    """
    if not (checkpoint / _WEIGHTS).exists():
        return None
    from mlflow import pyfunc
    from mlflow.models import Model

    shape = _shape(checkpoint / _SHAPE)
    model = Model(artifact_path=FOLDER, run_id=run_id, signature=_signature(shape))
    pyfunc.add_to_model(model, loader_module="orchestration.pyfunc_model")
    target.mkdir(parents=True, exist_ok=True)
    model.save(target / "MLmodel")
    (target / "requirements.txt").write_text("".join(f"{name}=={version}\n" for name, version in _installed()))
    return model


def _shape(file: Path) -> list[int] | None:
    if not file.exists():
        return None
    try:
        return [int(side) for side in json.loads(file.read_text())]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file.name} is damaged: {error}") from error


def _installed() -> Iterator[tuple[str, str]]:
    """What is required, with its version; without what runs here from a copy of its source, as on the nodes of a cluster."""
    for name in _REQUIRED:
        with suppress(PackageNotFoundError):
            yield name, version(name)


def _signature(shape: list[int] | None) -> ModelSignature:
    """What ``predict`` takes and gives, whatever the task: hence every column is optional."""
    from mlflow.models.signature import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array

    def optional(name: str, kind: Any) -> ColSpec:
        return ColSpec(kind, name, required=False)

    numbers: Any = DataType.double
    if shape is None:
        example = optional("text", DataType.string)
    else:
        for _ in shape:
            numbers = Array(numbers)
        example = optional("image", numbers)
    z = optional("z", Array(DataType.double))
    scores = [optional(name, DataType.double) for name in ("neg_elbo", "distortion", "rate", "iw_nll")]
    kinds = {"task": "string", "temperature": "double", "samples": "long", "count": "long", "seed": "long"}
    return ModelSignature(
        inputs=Schema([example, z, optional("label", DataType.string)]),
        outputs=Schema([example, z, *scores]),
        params=ParamSchema([ParamSpec(name, kinds[name], default) for name, default in DEFAULTS.items()]),
    )
