"""How do beta, the annealing schedule and the latent size trade rate against distortion?

Answers from the record of sweeps/digits.yaml:

python docs/examples/digits.py [--home DIR] [--name digits]
"""

import argparse

from dashboards import load_sweeps, load_trials
from dashboards.analyses.effects import effect
from dashboards.analyses.rate_distortion import hypervolume, plane

parser = argparse.ArgumentParser(description="Rate against distortion")
parser.add_argument("--home")
parser.add_argument("--name", default="digits")
given = parser.parse_args()

trials = load_trials(given.name, home=given.home)
sweep = load_sweeps(home=given.home).set_index("name", drop=False).loc[given.name]

points = plane(trials).merge(trials[["trial", "objective.beta", "objective.annealing.kind", "model.latent.size"]], on="trial")
print("The frontier: no other trial has both less rate and less distortion.")
print(points[points["pareto"]].round(2).to_string(index=False))

print("\nThe area that each schedule's frontier encloses, against the worst of all:")
worst = points["rate"].max(), points["distortion"].max()
for schedule, own in points.groupby("objective.annealing.kind"):
    print(f"{schedule:10} {hypervolume(own, *worst):8.2f} square nats")

for parameter in ("objective.beta", "objective.annealing.kind", "model.latent.size"):
    print(f"\n{parameter}: rate and -ELBO, means with 95 % intervals over whatever else was searched")
    for metric in ("val/rate", "val/neg_elbo"):
        print(effect(trials, sweep, parameter, metric).drop(columns=["best", "middle"]).round(2).to_string(index=False))
