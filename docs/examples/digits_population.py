"""Which schedule of learning rate and beta does a population find?

Answers from the record of sweeps/digits_population.yaml:

python docs/examples/digits_population.py [--home DIR] [--name digits-population]
"""

import argparse

from dashboards import load_trials
from dashboards.schedules import in_words, stints

parser = argparse.ArgumentParser(description="The schedule that a population found")
parser.add_argument("--home")
parser.add_argument("--name", default="digits-population")
given = parser.parse_args()

trials = load_trials(given.name, home=given.home).sort_values("best/val/neg_elbo")
short = {"optimizer.lr": "lr", "objective.beta": "beta"}
for _, trial in trials.head(3).iterrows():
    print(f"trial {trial['trial']}: best/val/neg_elbo {trial['best/val/neg_elbo']:.2f}")
    print("  " + "\n  ".join(in_words(stints(trial["schedule"]), short)))
descended = [len({stint.number for stint in stints(text)}) > 1 for text in trials["schedule"]]
print(f"{sum(descended)} of {len(trials)} trials descend from another's weights.")
