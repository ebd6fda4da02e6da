"""What the scores of complete trials are of, and by which estimator: sentences, each computed from the frame."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dashboards.analysis import searched_places, selected_metric
from dashboards.comparable import CONDITION, CONDITION_WORDS, deciding, is_of_data
from dashboards.pareto import several_metrics
from dashboards.variants import variant_columns
from dashboards.words import BEWARE, listed, plain


def incomparable(complete: pd.DataFrame, sweep: pd.Series[Any]) -> list[str]:
    """A warning where what was searched changes what the ranking score is of."""
    metrics = [name for name, _ in several_metrics(sweep)] or [str(sweep["metric"])]
    scores = [selected_metric(name) for name in metrics if is_of_data(name)]
    places = searched_places(sweep)
    differ = [name for name in places if name in complete and complete[name].nunique(dropna=False) > 1]
    owner = {place: name for name, own in variant_columns(sweep.get("variants", "")).items() for place in own}
    blamed = dict.fromkeys((owner.get(name, name), words) for name, words in deciding(differ).items())
    if "scores" in complete and complete["scores"].nunique() > 1:
        blamed[CONDITION, CONDITION_WORDS] = None
    if not scores or not blamed:
        return []
    told = "; ".join(f"{name} ({words})" for name, words in blamed)
    return [f"{BEWARE}: {listed(scores)} is of different things, and ranks unlike trials together, where these differ: {told}."]


def estimators(complete: pd.DataFrame) -> list[str]:
    """By which estimator each kind of score was computed."""
    told = []
    if "best/val/neg_elbo" in complete:
        told.append(
            "best/val/neg_elbo is the negative ELBO on validation, at beta 1 and with the exact likelihood whatever was trained"
            " with, at the epoch where it was lowest from annealing's end on"
        )
    if "test/neg_elbo" in complete:
        told.append("test/neg_elbo is the negative ELBO of that epoch's weights on the test set")
    sentences = []
    if "test/iw_nll" in complete and "evaluation.importance_samples" in complete:
        used = sorted(complete["evaluation.importance_samples"].dropna().unique())
        limits = complete["evaluation.importance_examples"]
        numbers = [f"at most {plain(limit)}" for limit in sorted(limits.dropna().unique())]
        numbers += ["all"] if limits.isna().any() else []
        told.append(
            f"test/iw_nll is the importance-weighted bound with K = {listed(map(plain, used))} on {listed(numbers)} test"
            f" examples{', ± one standard error over examples' if 'test/iw_nll_se' in complete else ''}"
        )
        differing = [words for words, values in (("K", used), ("the number of test examples", numbers)) if len(values) > 1]
        if differing:
            verb = "differs" if len(differing) == 1 else "differ"
            sentences.append(f"{BEWARE}: {listed(differing)} {verb}, so test/iw_nll cannot be compared between trials.")
    return ([f"{'; '.join(told)}. In nats an example."] if told else []) + sentences
