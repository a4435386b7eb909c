"""What a warm start saves, leave-one-out over the attributes of a project: child epochs until the cold final val score.

    python experiments/warm_start.py PROJECT_FOLDER [--attributes cat truck] [--seed 0]

Searches per attribute, with the project's settings: `cold` (search.epochs), `warm` (search.warm_epochs, a controller
that first imitates the best of the cold searches of all other attributes), `weights` (the same, from their mean shared
weights too) and, as control, `short` (a cold start with the warm one's epochs).
After each child epoch, on the whole val split and with the shared weights: `proposed`, the mean score of the
controller's mode and of 16 samples of its policy (what the search is after), and `fixed`, that of 16 random
architectures, the same for all searches (the shared weights alone). Runs continue where they stopped; they lie under
runs/warm_start.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from foundation.files import write_json
from foundation.history import Progress
from foundation.provenance import seed_of
from graftnet.project.folder import Project, open_project
from graftnet.project.machine import choose_device
from graftnet.project.overrides import Overrides, overridden
from graftnet.searches.run import job_data, plan_search
from graftnet.terminal.output import show_progress
from graftnet.trunks.versions import open_trunk
from nas.candidates import rank_candidates, whole_val_scores
from nas.enas import Search
from nas.settings import JobData, JobSettings
from nas.warm_start import Start, gather

ARCHITECTURES = 16
MEASURES = ("proposed", "fixed")
NEAR = 0.001  # a difference that a val score of some thousand images does not tell
ARMS = ("cold", "warm", "weights", "short")
Curve = list[dict[str, float]]


def followed(
    folder: Path,
    data: JobData,
    settings: JobSettings,
    *,
    seed: int,
    device: torch.device,
    start: Start | None,
    progress: Progress,
) -> Curve:
    """Run or continue a search; its scores before the first epoch and after each one."""
    search = Search(
        settings.space, data.train, data.val, settings.search, folder=folder, seed=seed, device=device, start=start
    )
    path = folder / "curve.json"
    curve: Curve = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    rng = np.random.default_rng(seed_of(0, "warm start panel"))
    fixed = [settings.space.random(rng) for _ in range(ARCHITECTURES)]

    def measure() -> None:
        with torch.no_grad():
            drawn = search.controller.sample(ARCHITECTURES, torch.Generator().manual_seed(seed_of(0, "proposed")))
        rows = [search.controller.mode().tolist(), *drawn.choices.tolist()]
        scores = whole_val_scores(search, [*fixed, *map(settings.space.architecture, rows)], None)
        curve[search.epoch :] = [
            {"epoch": search.epoch, "fixed": fmean(scores[:ARCHITECTURES]), "proposed": fmean(scores[ARCHITECTURES:])}
        ]
        write_json(path, curve)

    def measured(stage: str, done: int, total: int, figures: Any) -> None:
        measure()
        progress(f"{folder.parent.name} {folder.name}", done, total, figures)

    if len(curve) <= search.epoch:  # new, or killed between the checkpoint and the measurement
        measure()
    search.run(progress=measured)
    rank_candidates(search, settings.candidates)
    return curve


def reached(curve: Curve, measure: str, score: float) -> int | None:
    """The first child epoch after which the score is reached; None if it never is."""
    return next((int(point["epoch"]) for point in curve if point[measure] >= score), None)


def compared(attribute: str, curves: dict[str, Curve]) -> dict[str, Any]:
    """One attribute's record: per measure, cold's final score and when each search reaches it."""
    record: dict[str, Any] = {"attribute": attribute, "curves": curves}
    for measure in MEASURES:
        final = curves["cold"][-1][measure]
        record[measure] = {
            "final": final,
            "epochs": {arm: len(curve) - 1 for arm, curve in curves.items()},
            "reached": {arm: reached(curve, measure, final) for arm, curve in curves.items()},
            "near": {arm: reached(curve, measure, final - NEAR) for arm, curve in curves.items()},
            "best": {arm: max(point[measure] for point in curve) for arm, curve in curves.items()},
        }
    return record


def table(records: list[dict[str, Any]], measure: str) -> str:
    """Markdown: epochs until the cold final score (until within `NEAR` of it); a dash where it is not reached."""
    arms = list(records[0]["curves"])
    head = ["attribute", "cold final", *(f"{arm} reaches it" for arm in arms), *(f"{arm} best" for arm in arms[1:])]
    rows = [head, ["---"] * len(head)]
    for record in records:
        one = record[measure]
        epochs = [
            f"{written(one['reached'][arm])} ({written(one['near'][arm])}) of {one['epochs'][arm]}" for arm in arms
        ]
        best = [f"{one['best'][arm]:.4f}" for arm in arms[1:]]
        rows.append([record["attribute"], f"{one['final']:.4f}", *epochs, *best])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def written(epoch: int | None) -> str:
    return "–" if epoch is None else str(epoch)


def summary(records: list[dict[str, Any]], measure: str, within: str) -> str:
    """How many reach it, and after what share of the cold search's epochs; one that does not counts as all of them."""
    parts = []
    for arm in records[0]["curves"]:
        found = [record[measure][within][arm] for record in records]
        full = [record[measure]["epochs"]["cold"] for record in records]
        shares = [(all_ if epoch is None else epoch) / all_ for epoch, all_ in zip(found, full, strict=True)]
        hits = sum(epoch is not None for epoch in found)
        parts.append(f"{arm} {hits} of {len(found)}, after {fmean(shares):.0%} of the cold search's epochs")
    return f"{measure}, {within}: {'; '.join(parts)}"


def run_all(
    project: Project, attributes: list[str], arms: list[str], *, seed: int, device: torch.device
) -> list[dict[str, Any]]:
    """All searches: the cold ones first, since each is a source of the others."""
    trunk, root = open_trunk(project, device), project.runs / "warm_start"
    config = project.config.search
    curves: dict[str, dict[str, Curve]] = {attribute: {} for attribute in attributes}
    with show_progress() as progress:
        for arm in arms:
            for attribute in attributes:
                plan = plan_search(
                    overridden(project, Overrides(warm_start=False)), trunk, attribute, seed=seed, device=device
                )
                settings, start = plan.settings, None
                if arm != "cold":
                    warmup = (
                        config.warm_warmup_epochs
                        if arm == "warm"
                        else min(config.warmup_epochs, config.warm_epochs - 1)
                    )
                    search = replace(settings.search, epochs=config.warm_epochs, warmup_epochs=warmup)
                    settings = replace(settings, search=search)
                folder = root / arm / attribute
                if arm in ("warm", "weights"):
                    others = [root / "cold" / other for other in attributes if other != attribute]
                    start = gather(others, settings.space, weights=arm == "weights")
                data = job_data(plan, trunk, progress=progress)
                curves[attribute][arm] = followed(
                    folder, data, settings, seed=seed, device=device, start=start, progress=progress
                )
    return [compared(attribute, curves[attribute]) for attribute in attributes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--attributes", nargs="*", default=[], help="default: all of them")
    parser.add_argument("--arms", nargs="+", choices=ARMS[1:], default=list(ARMS[1:]), help="beside the cold one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    project = open_project(arguments.project)
    attributes = arguments.attributes or list(project.sources())
    if len(attributes) < 2:
        parser.error("leave-one-out needs at least two attributes")
    arms = [arm for arm in ARMS if arm == "cold" or arm in arguments.arms]
    records = run_all(project, attributes, arms, seed=arguments.seed, device=choose_device(arguments.device))
    write_json(project.runs / "warm_start" / "table.json", {"attributes": records})
    for measure in MEASURES:
        print(f"\n{table(records, measure)}\n")
        print(summary(records, measure, "reached"), summary(records, measure, "near"), sep="\n")


if __name__ == "__main__":
    main()
