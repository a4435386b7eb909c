"""Does a branch gain by stopping early, by its last weights, or by another average of them? Paired over architectures.

    python -m experiments.stopping PROJECT ATTR... [--architectures 4] [--seeds 2] [--images 2000]

Random architectures of the project's space are trained as `[retrain]` says, and otherwise: without the running average,
with its last epoch's weights, stopped when val has not gained for three epochs, and for twice as many epochs with and
without that stop. All share the seeds, so that differences are paired. Scores are test AUROC (val chooses epochs only);
the table has each arm's mean, its mean difference to the recipe as it stands with a 95 % t interval, and its epochs.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from branches.branch import Branch
from branches.measures.metrics import REWARDS
from branches.settings import FitSettings
from branches.training import fit, predict_scores
from experiments.architecture_table import in_memory
from foundation.provenance import seed_of
from graftnet.project.folder import open_project
from graftnet.searches.run import job_data, plan_search
from graftnet.trunks.versions import open_trunk
from search_spaces import Architecture
from trunk.features.source import LabelledFeatures

PATIENCE = 3
Splits = tuple[LabelledFeatures, LabelledFeatures, LabelledFeatures]


class Patience:
    """Hears of each epoch, and says whether val has not gained for `epochs` of them."""

    def __init__(self, epochs: int) -> None:
        self.epochs, self.scores = epochs, [0.0]

    def hear(self, _stage: str, _epoch: int, _total: int, figures: Mapping[str, float]) -> None:
        if "val_score" in figures:
            self.scores.append(figures["val_score"])

    def stop(self) -> bool:
        return len(self.scores) - 1 - int(np.argmax(self.scores)) >= self.epochs


ARMS: dict[str, tuple[Callable[[FitSettings], FitSettings], bool]] = {
    "as it is": (lambda recipe: recipe, False),
    "no average": (lambda recipe: replace(recipe, average=0.0), False),
    "longer average": (lambda recipe: replace(recipe, average=0.999), False),
    "last epoch": (lambda recipe: replace(recipe, keep="last"), False),
    f"stopped after {PATIENCE}": (lambda recipe: recipe, True),
    "twice the epochs": (lambda recipe: replace(recipe, epochs=2 * recipe.epochs), False),
    f"twice, stopped after {PATIENCE}": (lambda recipe: replace(recipe, epochs=2 * recipe.epochs), True),
}


def trained(
    architecture: Architecture, splits: Splits, recipe: FitSettings, seed: int, *, patient: bool
) -> tuple[float, int]:
    """The test AUROC of one training, and how many epochs it took."""
    train, val, test = splits
    generator = torch.Generator().manual_seed(seed)
    branch = Branch(architecture, train.features.shape, train.values, dropout=recipe.dropout, generator=generator)
    watch = Patience(PATIENCE)
    done = fit(branch, train, val, recipe, seed=seed, progress=watch.hear, stop=watch.stop if patient else None)
    return REWARDS["auroc"](predict_scores(branch, test.features), test.labels.numpy()), len(done.curve)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("attributes", nargs="+")
    parser.add_argument("--architectures", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--images", type=int)
    options = parser.parse_args()
    project, device = open_project(options.project), torch.device("cpu")
    trunk = open_trunk(project, device)
    scores: dict[str, list[float]] = {arm: [] for arm in ARMS}
    epochs: dict[str, list[int]] = {arm: [] for arm in ARMS}
    for attribute in options.attributes:
        plan = plan_search(project, trunk, attribute, seed=0, device=device)
        job = job_data(plan, trunk)
        assert job.test is not None
        splits = in_memory(job.train, options.images), in_memory(job.val, None), in_memory(job.test, None)
        rng = np.random.default_rng(seed_of(0, "stopping", attribute))
        for number in range(options.architectures):
            architecture = plan.settings.space.random(rng)
            for seed in range(options.seeds):
                for arm, (changed, patient) in ARMS.items():
                    own = seed_of(seed, attribute, number)
                    recipe = changed(plan.settings.retrain)
                    score, length = trained(architecture, splits, recipe, own, patient=patient)
                    scores[arm].append(score)
                    epochs[arm].append(length)
                print(f"{attribute} {number + 1}/{options.architectures} seed {seed}", flush=True)
    print("| arm | test AUROC | over as it is | epochs |\n|---|---|---|---|")
    base = np.array(scores["as it is"])
    for arm, values in scores.items():
        difference = np.array(values) - base
        half = stats.t.ppf(0.975, len(base) - 1) * stats.sem(difference) if arm != "as it is" else 0.0
        print(f"| {arm} | {np.mean(values):.4f} | {difference.mean():+.4f} ± {half:.4f} | {np.mean(epochs[arm]):.1f} |")


if __name__ == "__main__":
    main()
