"""A trial's checkpoint as a model of ``mlflow.pyfunc``: what MLflow loads it with, and what its frames hold.

``mlflow.pyfunc.load_model("runs:/RUN/checkpoint")`` calls ``_load_pyfunc`` here, so nothing is unpickled: code is this package,
weights are safetensors.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from vae_core.served import Decoded, Served

TASKS = ("score", "encode", "decode", "generate")
DEFAULTS: dict[str, Any] = {"task": "score", "samples": 0, "count": 8, "temperature": None, "seed": 0}
"""The parameters of ``predict``. Without a temperature ``decode`` takes the most likely words, ``generate`` draws at 1."""


class PyfuncModel:
    """What ``predict`` asks; ``unwrap_python_model()`` gives the model itself, with a method a task."""

    def __init__(self, model: Served) -> None:
        self.python_model = model

    def predict(self, data: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """A row an example: ``z``; or scores in nats; or ``text`` or ``image``, of ``generate`` with its ``z``.

        Args:
            data: columns ``text`` or ``image`` for score and encode, ``z`` for decode, ``label`` of a model that reads
                labels; of generate its rows matter where there is a ``label``, else ``count``.

        Raises:
            ValueError: no such task, a column is missing, or the model refuses what is in it.
        """
        asked = {**DEFAULTS, **{name: value for name, value in (params or {}).items() if value is not None}}
        task, temperature, seed = asked["task"], asked["temperature"], int(asked["seed"])
        model = self.python_model
        labels = [str(name) for name in data["label"]] if "label" in data else None
        if task == "generate":
            count = int(asked["count"]) if labels is None else len(labels)
            made, z = model.generate(count, labels, temperature=1.0 if temperature is None else temperature, seed=seed)
            return _frame({self._kind: _rows(made), "z": _rows(z)})
        if task == "decode":
            codes = _column(data, "z", task)
            found = model.decode(codes, labels, temperature=0.0 if temperature is None else temperature, seed=seed)
            return _frame({self._kind: _rows(found)}, data)
        if task == "encode":
            return _frame({"z": _rows(model.encode(_column(data, self._kind, task), labels))}, data)
        if task == "score":
            scores = model.score(_column(data, self._kind, task), labels, samples=int(asked["samples"]), seed=seed)
            return _frame({name: list(values) for name, values in scores.items()}, data)
        near = difflib.get_close_matches(str(task), TASKS, n=1)
        raise ValueError(f"task {task!r}: one of {', '.join(TASKS)}" + (f"; did you mean {near[0]}?" if near else ""))

    @property
    def _kind(self) -> str:
        return "text" if self.python_model.loaded.shape is None else "image"


def _load_pyfunc(path: str) -> PyfuncModel:
    """MLflow's entry point."""
    from vae_core.served import Served

    return PyfuncModel(Served.load(Path(path)))


def _column(data: pd.DataFrame, name: str, task: str) -> list[Any]:
    if name not in data:
        raise ValueError(f"task {task} wants a column {name!r}; there is {', '.join(map(str, data.columns)) or 'none'}")
    return list(data[name])


def _rows(found: Decoded | Any) -> list[Any]:
    """One plain value a row, as JSON can hold it."""
    return found if isinstance(found, list) else [row.tolist() for row in found]


def _frame(columns: Mapping[str, list[Any]], like: pd.DataFrame | None = None) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(columns, index=None if like is None else like.index)
