"""A Markdown table of a project's search results, in the form of the GraftNet paper's Table 2, controls beside it.

python experiments/results_table.py PROJECT_FOLDER
"""

import argparse
import json
from pathlib import Path
from statistics import fmean
from typing import Any

from nas.job.gains import Gain

CONTESTANTS = ("winner", "random", "linear_probe", "tail")
HEAD = (
    "attribute",
    "accuracy",
    "reduction",
    "parameters",
    "AUROC",
    "random",
    "linear probe",
    "tail",
    "over random",
    "over probe",
    "over tail",
    "search s",
    "total s",
)


def read_results(project: Path) -> list[dict[str, Any]]:
    """Each attribute's newest finished result, by name."""
    newest: dict[str, tuple[float, dict[str, Any]]] = {}
    for path in project.glob("runs/searches/*/*/result.json"):
        result = json.loads(path.read_text(encoding="utf-8"))
        age = path.stat().st_mtime
        if age > newest.get(result["attribute"], (0.0, {}))[0]:
            newest[result["attribute"]] = age, result
    return [newest[name][1] for name in sorted(newest)]


def aurocs(result: dict[str, Any]) -> dict[str, float]:
    """Mean test AUROC of each side over its trainings."""
    return {name: fmean(result["repeats"][name]["test_auroc"]) for name in CONTESTANTS if name in result["repeats"]}


def gains_of(result: dict[str, Any]) -> dict[str, Gain]:
    """The winner above each control, with the 95 % interval that the search recorded.

    The table is of searched branches: its projects have `search.choice = "searched"`, or are from before there was one.
    """
    return {f"over_{name}": Gain(**result["gain"][f"over_{name}"]) for name in CONTESTANTS[1:]}


def interval(found: Gain) -> str:
    """A gain as the table shows it."""
    return f"{found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


def row(result: dict[str, Any]) -> list[str]:
    """One attribute's line."""
    found, gains = aurocs(result), gains_of(result)
    return [
        result["attribute"],
        f"{result['test']['accuracy']:.1%}",
        f"{-result['parameter_reduction']:.1%}",
        f"{result['parameters']:,}",
        *(f"{found[name]:.4f}" for name in CONTESTANTS),
        *(interval(gains[f"over_{name}"]) for name in CONTESTANTS[1:]),
        f"{result['seconds']['search']:.0f}",
        f"{result['seconds']['total'] - result['seconds']['features']:.0f}",
    ]


def means(results: list[dict[str, Any]]) -> list[str]:
    """The line of means."""
    found = [aurocs(result) for result in results]
    gains = [fmean(result["gain"][f"over_{name}"]["difference"] for result in results) for name in CONTESTANTS[1:]]
    return [
        "**mean**",
        f"{fmean(result['test']['accuracy'] for result in results):.1%}",
        f"{-fmean(result['parameter_reduction'] for result in results):.1%}",
        f"{fmean(result['parameters'] for result in results):,.0f}",
        *(f"{fmean(one[name] for one in found):.4f}" for name in CONTESTANTS),
        *(f"{gain:+.4f}" for gain in gains),
        f"{fmean(result['seconds']['search'] for result in results):.0f}",
        f"{fmean(result['seconds']['total'] - result['seconds']['features'] for result in results):.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    results = read_results(parser.parse_args().project)
    if not results:
        parser.error("this project has no finished search; run 'graftnet search --all' in it first")
    rows = [list(HEAD), ["---"] * len(HEAD), *(row(result) for result in results), means(results)]
    print("\n".join("| " + " | ".join(cells) + " |" for cells in rows))


if __name__ == "__main__":
    main()
