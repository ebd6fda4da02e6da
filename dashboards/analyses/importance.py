"""Which searched parameter mattered: PED-ANOVA for the way to the top, fANOVA for the variance explained; both by Optuna."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import pandas as pd

from dashboards.analyses.scores import INACTIVE, active, compared, is_number, is_wide, lower_is_better, metric_of

if TYPE_CHECKING:
    import optuna

Method = Literal["ped_anova", "fanova"]
FEWEST = 8
"""With fewer complete trials nothing is said."""
_COLUMNS = {"parameter": "str", "importance": "float64", "trials": "int64"}
_SEED = 0


def importance(
    trials: pd.DataFrame, sweep: pd.Series[Any], metric: str | None = None, method: Method = "ped_anova"
) -> pd.DataFrame:
    """The importance of each searched parameter for the metric, most important first; no row with fewer than 8 trials.

    Columns: ``parameter, importance, trials`` (complete ones in which it is active). ``ped_anova`` (Watanabe et al. 2023; for
    conditional parameters 2026): how much the best tenth differ from all, normalised to a sum of 1. ``fanova`` (Hutter et al.
    2014): the share of the variance that a forest explains by the parameter alone; that of a conditional parameter is taken
    among the trials that have it, so that the shares of all need not add up to 1.

    Raises:
        ValueError: there is no such method.
    """
    if method not in get_args(Method):
        raise ValueError(f"method is {method!r}, and must be one of {', '.join(get_args(Method))}")
    column = metric_of(sweep, metric)
    among = compared(trials, column)
    names = active(among, sweep)
    if len(among) < FEWEST or not names:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _COLUMNS.items()})
    scores = lower_is_better(among[column], column, sweep)
    found = _ped_anova(among, scores, names) if method == "ped_anova" else _fanova(among, scores, names)
    rows = [(name, found[name], int(among[name].notna().sum())) for name in names if name in found]
    table = pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)
    return table.sort_values(["importance", "parameter"], ascending=[False, True], ignore_index=True)


def _ped_anova(trials: pd.DataFrame, scores: pd.Series[Any], names: Sequence[str]) -> dict[str, float]:
    import optuna

    return dict(optuna.importance.get_param_importances(_study(trials, scores, names)))


def _fanova(trials: pd.DataFrame, scores: pd.Series[Any], names: Sequence[str]) -> dict[str, float]:
    """Each parameter among the trials that have it.

    The others keep their part: one that a trial does not have is filled in, or the forest would put its effect down to chance
    features of those that all have.
    """
    import optuna

    found: dict[str, float] = {}
    for name in names:
        having = trials[trials[name].notna()]
        filled = pd.DataFrame({other: _filled(having[other]) for other in names if having[other].notna().any()})
        varied = [other for other in names if other in filled and filled[other].nunique() > 1]
        if len(having) >= FEWEST and name in varied:
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=_SEED)
            study = _study(filled, scores[having.index], varied)
            found[name] = float(optuna.importance.get_param_importances(study, evaluator=evaluator, normalize=False)[name])
    return found


def _filled(values: pd.Series[Any]) -> pd.Series[Any]:
    """What is missing becomes the middle value of a number, and else a level of its own."""
    if is_number(values):
        return values.fillna(values.dropna().quantile(0.5, interpolation="nearest"))
    return values.astype("object").where(values.notna(), INACTIVE)


def _study(trials: pd.DataFrame, scores: pd.Series[Any], names: Sequence[str]) -> optuna.Study:
    """The trials as a study in memory, each with the parameters that it has."""
    import optuna

    spaces = {name: _distribution(trials[name].dropna()) for name in names}
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            for (_, row), score in zip(trials.iterrows(), scores, strict=True):
                own = {name: _plain(row[name]) for name in names if pd.notna(row[name])}
                distributions = {name: spaces[name] for name in own}
                study.add_trial(optuna.trial.create_trial(params=own, distributions=distributions, value=float(score)))
    finally:
        optuna.logging.set_verbosity(verbosity)
    return study


def _distribution(values: pd.Series[Any]) -> optuna.distributions.BaseDistribution:
    """The range that the values take; the record does not say what could have been drawn."""
    import optuna

    if not is_number(values):
        return optuna.distributions.CategoricalDistribution(sorted({_plain(value) for value in values}, key=str))
    low, high = float(values.min()), float(values.max())
    log = is_wide(values)
    if pd.api.types.is_integer_dtype(values):
        return optuna.distributions.IntDistribution(int(low), int(high), log=log)
    return optuna.distributions.FloatDistribution(low, high, log=log)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
