"""Data sets: text and images as arrays of NumPy, shared between trials without a copy."""

from vae_core.data.base_config import DataConfig, Splitting
from vae_core.data.config import AnyData, Digits, Npz, NpzLabels
from vae_core.data.errors import DataError
from vae_core.data.text_config import (
    Csv,
    HuggingFace,
    JsonLines,
    LabelledFiles,
    Parquet,
    PythonDocs,
    TextFile,
    TextTable,
    Vocabulary,
)

__all__ = [
    "AnyData",
    "Csv",
    "DataConfig",
    "DataError",
    "Digits",
    "HuggingFace",
    "JsonLines",
    "LabelledFiles",
    "Npz",
    "NpzLabels",
    "Parquet",
    "PythonDocs",
    "Splitting",
    "TextFile",
    "TextTable",
    "Vocabulary",
]
