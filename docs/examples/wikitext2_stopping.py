"""Does successive halving find what training to the end finds?

Answers from the record of sweeps/wikitext2_stopping.yaml:

    python docs/examples/wikitext2_stopping.py [--home DIR] [--name wikitext2-stopping]

How well does an early epoch's order foretell the last's? ``python -m benchmarks.stopping_regret`` replays each rule.
"""

import argparse

import pandas as pd

from dashboards import load_curves, load_sweeps, load_trials
from dashboards.analyses.progress import progress

parser = argparse.ArgumentParser(description="What an early epoch foretells")
parser.add_argument("--home")
parser.add_argument("--name", default="wikitext2-stopping")
given = parser.parse_args()

trials = load_trials(given.name, home=given.home)
sweep = load_sweeps(home=given.home).set_index("name", drop=False).loc[given.name]
curves = load_curves(given.name, metrics=["val/neg_elbo", "train/loss"], home=given.home)
final = trials.set_index("trial")["best/val/neg_elbo"]
rows = []
for metric, own in curves.groupby("metric"):
    for epoch, values in own.pivot(index="epoch", columns="trial", values="value").iterrows():
        rows.append({"epoch": epoch, "metric": metric, "rank correlation": values.corr(final, method="spearman")})
print("The order after each epoch against the order at the end (Spearman):")
print(pd.DataFrame(rows).pivot(index="epoch", columns="metric", values="rank correlation").round(2).to_string())
print("\nThe best so far, and what as many random draws would be expected to find:")
print(progress(trials, sweep).tail(3).round(2).to_string(index=False))
