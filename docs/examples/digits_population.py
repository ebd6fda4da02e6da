"""Which schedule of learning rate and beta does a population find?

Answers from the record of sweeps/digits_population.yaml:

python docs/examples/digits_population.py [--home DIR] [--name digits-population]
"""

import argparse
import json

from dashboards import load_trials
from dashboards.schedules import in_words, schedule_of

parser = argparse.ArgumentParser(description="The schedule that a population found")
parser.add_argument("--home")
parser.add_argument("--name", default="digits-population")
given = parser.parse_args()

trials = load_trials(given.name, home=given.home).sort_values("best/val/neg_elbo")
short = {"optimizer.lr": "lr", "objective.beta": "beta"}
schedules = {trial: schedule_of(json.loads(text)) for trial, text in zip(trials["trial"], trials["schedule"], strict=True)}
for _, trial in trials.head(3).iterrows():
    print(f"trial {trial['trial']}: best/val/neg_elbo {trial['best/val/neg_elbo']:.2f}")
    print("  " + "\n  ".join(in_words(schedules[trial["trial"]], short)))
descended = [len({stint.number for stint in schedule}) > 1 for schedule in schedules.values()]
print(f"{sum(descended)} of {len(trials)} trials descend from another's weights.")
