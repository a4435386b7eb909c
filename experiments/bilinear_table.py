"""The form of the GraftNet engineering paper's Table 3: false positives among the top-scored test images, per branch.

    python -m experiments.bilinear_table PROJECT OUT.jsonl [--attributes ...] [--blocks 5] [--width 32] [--seeds 0 1 2]
    python -m experiments.bilinear_table PROJECT OUT.jsonl --show

Of each attribute's test images as many are selected as have its second value, those with the highest scores for it; the
rest of the selected are the false positives. Compared are the tail cut short after `--blocks` blocks, and the whole
tail, each with average and with bilinear pooling (`graftnet search ATTR --branch tail ...`, one per seed, trained as
[controls] tail_* says); the linear probe; and the branches that PROJECT's finished searches found. Val chose the epoch
of each training; test is read once per training. A line is written to OUT per finished training; called again, it does
the rest.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from branches.costs.module import parameters
from branches.measures.metrics import REWARDS
from branches.probe import linear_probe
from branches.saved import load_branch
from branches.training import predict_scores
from graftnet.project.folder import Project, open_project
from graftnet.project.overrides import Overrides, overridden
from graftnet.searches.plan import SearchPlan
from graftnet.searches.run import carry_out, job_data, plan_search
from graftnet.trunks.versions import open_trunk
from trunk.features.source import LabelledFeatures
from trunk.trunk import Trunk

CPU = torch.device("cpu")
PROBE, SEARCHED = "linear probe", "searched branch"


def arms(blocks: int, last: int, width: int) -> dict[str, Overrides]:
    """Name -> options of the branch by hand."""
    return {
        f"{'cut after' if end < last else 'all'} {end} blocks, {pooling}": Overrides(
            branch="tail", blocks=end, pooling=pooling, width=width
        )
        for end in (blocks, last)
        for pooling in ("average", "bilinear")
    }


def judged(module: torch.nn.Module, test: LabelledFeatures) -> dict[str, Any]:
    """False positives among as many top-scored images as are positive, AUROC, and the parameters."""
    scores, labels = predict_scores(module, test.features), test.labels.numpy()
    selected = np.argsort(-scores[:, 1], kind="stable")[: int(labels.sum())]
    return {
        "selected": len(selected),
        "false_positives": int((labels[selected] == 0).sum()),
        "auroc": REWARDS["auroc"](scores, labels),
        "parameters": parameters(module),
    }


def rows(project: Project, trunk: Trunk, plan: SearchPlan, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One record per training of an attribute that is not in OUT yet."""
    done = {(one["attribute"], one["arm"], one["seed"]) for one in read(options.out)}
    attribute = plan.attribute
    data = job_data(plan, trunk)
    assert data.test is not None
    for arm, overrides in arms(options.blocks, len(trunk.chain), options.width).items():
        for seed in options.seeds:
            if (attribute, arm, seed) not in done:
                chosen = plan_search(overridden(project, overrides), trunk, attribute, seed=seed, device=CPU)
                module, _ = load_branch(carry_out(chosen, trunk, device=CPU) / "branch")
                yield {"attribute": attribute, "arm": arm, "seed": seed, **judged(module, data.test)}
    if (attribute, PROBE, 0) not in done:
        probe = linear_probe(data.train, data.val).module
        yield {"attribute": attribute, "arm": PROBE, "seed": 0, **judged(probe, data.test)}
    for number, folder in enumerate(project.results(attribute)):
        module, record = load_branch(folder / "branch")
        same = (record.fingerprint, record.freeze_depth) == (trunk.fingerprint, plan.depth)
        if record.kind == "branch" and same and (attribute, SEARCHED, number) not in done:
            yield {"attribute": attribute, "arm": SEARCHED, "seed": number, **judged(module, data.test)}


def read(path: Path) -> list[dict[str, Any]]:
    """The records of OUT."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def table(records: list[dict[str, Any]]) -> str:
    """Markdown: false positives per attribute and branch, their sum, and the mean AUROC; means over the trainings."""
    names = list(dict.fromkeys(record["arm"] for record in records))
    found: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        found[record["attribute"]][record["arm"]].append(record)
    lines = [f"| attribute (selected) | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for attribute, by_arm in found.items():
        selected = next(iter(by_arm.values()))[0]["selected"]
        cells = [f"{mean(by_arm[name], 'false_positives'):.1f}" if by_arm[name] else "–" for name in names]
        lines.append(f"| {attribute} ({selected}) | {' | '.join(cells)} |")
    for title, key, form in (("sum", "false_positives", ".1f"), ("mean AUROC", "auroc", ".4f")):
        columns = [[mean(by_arm[name], key) for by_arm in found.values() if by_arm[name]] for name in names]
        totals = [sum(column) if title == "sum" else fmean(column) for column in columns]
        lines.append(f"| {title} | {' | '.join(format(total, form) for total in totals)} |")
    sizes = [f"{mean([one for by in found.values() for one in by[name]], 'parameters'):,.0f}" for name in names]
    return "\n".join([*lines, f"| parameters | {' | '.join(sizes)} |"])


def mean(records: list[dict[str, Any]], key: str) -> float:
    return fmean(float(record[key]) for record in records)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--attributes", nargs="+")
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--show", action="store_true", help="print the table of what is there, and train nothing")
    options = parser.parse_args()
    if not options.show:
        torch.set_num_threads(1)
        project = open_project(options.project)
        trunk = open_trunk(project, CPU)
        for attribute in options.attributes or list(project.sources()):
            plan = plan_search(project, trunk, attribute, seed=0, device=CPU)
            for record in rows(project, trunk, plan, options):
                with open(options.out, "a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
    print(table(read(options.out)))


if __name__ == "__main__":
    main()
