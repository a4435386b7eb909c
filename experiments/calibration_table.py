"""What calibration on val does to the test images: a Markdown table of a project's searched attributes.

    python -m experiments.calibration_table PROJECT [--out FILE.jsonl]

Each attribute's newest branch scores val and test once, from the feature cache. Both calibrations, and the one that
`branches.measures.calibration.fit_calibration` chooses, are fitted on val; test is measured here and decides nothing.
With `--out` an attribute that has a line there is not computed again.
"""

import argparse
import json
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from branches.measures.calibration import METHODS, calibrate, fit_calibration, reliability_record
from branches.saved import load_branch
from branches.training import predict_scores
from graftnet.project.folder import Project, open_project
from graftnet.searches.run import job_data, plan_search
from graftnet.trunks.versions import open_trunk
from trunk.trunk import Trunk

SIDES = ("raw", "temperature", "isotonic", "chosen")


def measured(project: Project, trunk: Trunk, attribute: str) -> dict[str, Any]:
    """One attribute's record: {"attribute", "method", "fitted_temperature", side: {"ece", "nll", "bins"}}."""
    seed, device = project.config.project.seed, torch.device("cpu")
    job = job_data(plan_search(project, trunk, attribute, seed=seed, device=device), trunk)
    assert job.test is not None
    module, _ = load_branch(project.results(attribute)[-1] / "branch")
    splits = {"val": job.val, "test": job.test}
    scores = {name: predict_scores(module, split.features) for name, split in splits.items()}
    labels = {name: split.labels.numpy() for name, split in splits.items()}
    fits = {name: fit(scores["val"], labels["val"]) for name, fit in METHODS.items()}
    chosen = fit_calibration(scores["val"], labels["val"])
    fits["chosen"] = chosen
    tables = {"raw": scores["test"], **{name: calibrate(fit, scores["test"]) for name, fit in fits.items()}}
    return {
        "attribute": attribute,
        "method": chosen["method"],
        "fitted_temperature": fits["temperature"]["temperature"],
        "cross_validated_nll": chosen["cross_validated_nll"],
        "images": {name: len(values) for name, values in labels.items()},
        **{name: reliability_record(table, labels["test"]) for name, table in tables.items()},
    }


def table(records: list[dict[str, Any]]) -> str:
    """A line per attribute and their mean."""
    head = ["attribute", "chosen", "temperature", *(f"ECE {side}" for side in SIDES), *(f"NLL {s}" for s in SIDES)]
    lines = [head, ["---"] * len(head)]
    for record in records:
        figures = [f"{record[side][figure]:.4f}" for figure in ("ece", "nll") for side in SIDES]
        lines.append([record["attribute"], record["method"], f"{record['fitted_temperature']:.2f}", *figures])
    means = [f"{fmean(one[side][figure] for one in records):.4f}" for figure in ("ece", "nll") for side in SIDES]
    lines.append(["mean", "", "", *means])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Measure what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    project = open_project(arguments.project)
    trunk = open_trunk(project, torch.device("cpu"))
    records = []
    if arguments.out and arguments.out.exists():
        records = [json.loads(line) for line in arguments.out.read_text(encoding="utf-8").splitlines()]
    for attribute in project.sources():
        if attribute in {record["attribute"] for record in records} or not project.results(attribute):
            continue
        records.append(measured(project, trunk, attribute))
        if arguments.out:
            with arguments.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(records[-1]) + "\n")
    print(table(records))


if __name__ == "__main__":
    main()
