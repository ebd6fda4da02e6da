"""Which annealing schedule and word dropout keep the latent in use?

Answers from the record of sweeps/shakespeare_annealing.yaml:

python docs/examples/shakespeare_annealing.py [--home DIR] [--name shakespeare-annealing]
"""

import argparse

from dashboards import load_sweeps, load_trials
from dashboards.analyses.annealing import by_schedule
from dashboards.analyses.effects import effect

parser = argparse.ArgumentParser(description="What keeps the latent in use, and what that costs")
parser.add_argument("--home")
parser.add_argument("--name", default="shakespeare-annealing")
given = parser.parse_args()

trials = load_trials(given.name, home=given.home)
sweep = load_sweeps(home=given.home).set_index("name", drop=False).loc[given.name]
print("By schedule: the share that collapsed, what the code carries, and the best -ELBO of those that did not:")
print(by_schedule(trials).round(2).to_string(index=False))
for metric, words in (("val/rate", "what the code carries, in nats"), ("val/neg_elbo", "-ELBO, in nats")):
    print(f"\nWord dropout and {words}: means with 95 % intervals")
    print(effect(trials, sweep, "model.decoder.word_dropout", metric).drop(columns="middle").round(2).to_string(index=False))
