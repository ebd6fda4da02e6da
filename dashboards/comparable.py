"""Which searched parameters change what a score is of, so that trials that differ in them have no common order."""

from __future__ import annotations

from collections.abc import Iterable

_LIKELIHOODS = ("neg_elbo", "distortion", "perplexity", "iw_nll", "iw_perplexity")
"""The last parts of the names of scores that are of the data's probability."""
_DECIDE = {
    "data": "the data, or how they are read",
    "model.likelihood": "the likelihood: a probability, or a density",
}
"""Parts of a trial that say what is scored, and that in words."""
_DO_NOT = (
    "data.max_sentences",
    "data.labels",
    "data.label_column",
    "model.likelihood.variance",
    "model.likelihood.min_log_variance",
)
"""Names among them that do not: what is trained on, labels, and parameters of one likelihood."""


CONDITION = "model.condition"
CONDITION_WORDS = "p(x) or, told the label, p(x|y)"
"""What is scored with it and without; its own fields change nothing of that."""


def is_of_data(metric: str) -> bool:
    """Whether a metric is a probability of the data, such as val/neg_elbo; a rate or a speed is none."""
    return metric.rpartition("/")[2] in _LIKELIHOODS


def deciding(names: Iterable[str]) -> dict[str, str]:
    """Those of the dotted names that decide what is scored, each with what in words."""
    return {
        name: words for name in names if not _lies_in(name, _DO_NOT) for part, words in _DECIDE.items() if _lies_in(name, (part,))
    }


def _lies_in(name: str, parts: Iterable[str]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)
