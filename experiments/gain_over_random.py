"""What the whole search gains over random search, per attribute, over the seeds of a project's finished searches.

    graftnet search --all --seed 0; graftnet search --all --seed 1; graftnet search --all --seed 2
    python -m experiments.gain_over_random PROJECT...

A Markdown table of test AUROC: the searched branch, the best of as many random architectures trained alike, the linear
probe; their means over the seeds, and the paired difference with its 95 % t interval over them (over the attributes'
means in the last line). Within a seed val chose on both sides, and each chosen branch was measured once.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from scipy.stats import t as student

HEAD = ("attribute", "seeds", "branch", "random", "linear probe", "over random", "over the probe", "parameters", "s")


def read_results(project: Path) -> dict[str, list[dict[str, Any]]]:
    """Each attribute's finished results with ENAS, one per seed, the newest of equals."""
    found: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for path in sorted(project.glob("runs/searches/*/*/result.json"), key=lambda path: path.stat().st_mtime):
        result = json.loads(path.read_text(encoding="utf-8"))
        found[result["attribute"]][result["seed"]] = result
    return {name: [by_seed[seed] for seed in sorted(by_seed)] for name, by_seed in sorted(found.items())}


def interval(differences: list[float]) -> str:
    """Mean and 95 % t interval."""
    mean, count = fmean(differences), len(differences)
    if count < 2:
        return f"{mean:+.4f}"
    half = student.ppf(0.975, count - 1) * float(np.std(differences, ddof=1)) / count**0.5
    return f"{mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}]"


def figures(results: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Test AUROC per side and seed."""
    kinds = {"branch": "searched", "random": "random", "linear_probe": "probe"}
    return {side: [of_kind(result, kind, side)["test"]["auroc"] for result in results] for side, kind in kinds.items()}


def of_kind(result: dict[str, Any], kind: str, control: str) -> dict[str, Any]:
    """What is told of one kind, which is the result itself or stands among its controls."""
    chosen = result.get("kind", "searched") == kind
    told: dict[str, Any] = result if chosen else result["controls"]["searched" if kind == "searched" else control]
    return told


def differences(sides: dict[str, list[float]], control: str) -> list[float]:
    return [ours - theirs for ours, theirs in zip(sides["branch"], sides[control], strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("projects", type=Path, nargs="+")
    for project in parser.parse_args().projects:
        results = read_results(project)
        if not results:
            parser.error(f"{project} has no finished search; run `graftnet search --all --project {project}` first")
        rows = [list(HEAD), ["---"] * len(HEAD)]
        sides = {name: figures(found) for name, found in results.items()}
        for name, found in results.items():
            one = sides[name]
            rows.append(
                [
                    name,
                    str(len(found)),
                    *(f"{fmean(one[side]):.4f}" for side in ("branch", "random", "linear_probe")),
                    interval(differences(one, "random")),
                    interval(differences(one, "linear_probe")),
                    f"{fmean(result['parameters'] for result in found):,.0f}",
                    f"{fmean(result['seconds']['total'] for result in found):.0f}",
                ]
            )
        means = {c: [fmean(differences(one, c)) for one in sides.values()] for c in ("random", "linear_probe")}
        rows.append(
            [
                "**mean**",
                "",
                *(
                    f"{fmean(fmean(one[s]) for one in sides.values()):.4f}"
                    for s in ("branch", "random", "linear_probe")
                ),
                interval(means["random"]),
                interval(means["linear_probe"]),
                f"{fmean(result['parameters'] for found in results.values() for result in found):,.0f}",
                f"{fmean(result['seconds']['total'] for found in results.values() for result in found):.0f}",
            ]
        )
        print("\n".join("| " + " | ".join(cells) + " |" for cells in rows) + "\n")


if __name__ == "__main__":
    main()
