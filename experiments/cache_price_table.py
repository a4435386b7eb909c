"""The lines of `experiments.cache_price` as a Markdown table: what each arm costs, and its scores beside float32's."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from scipy import stats

Line = Mapping[str, Any]
HEAD = (
    *("arm", "bytes per image", "fill s (estimated)", "step ms"),
    *("val", "test", "test against float32", "probe", "probe against float32"),
)


def interval(differences: Sequence[float]) -> str:
    """Mean of paired differences with a 95 % t interval."""
    mean = fmean(differences)
    if len(differences) < 2:
        return f"{mean:+.4f}"
    half = float(stats.sem(differences) * stats.t.ppf(0.975, len(differences) - 1))
    return f"{mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}]"


def scores(lines: Sequence[Line], kind: str, arm: str, split: str) -> dict[tuple[str, Any], float]:
    """AUROC of the deployed modules, by attribute and seed."""
    return {
        (line["attribute"], line.get("seed")): line["deployed"][split]
        for line in lines
        if line["kind"] == kind and line["arm"] == arm
    }


def against(lines: Sequence[Line], kind: str, arm: str) -> str:
    """An arm's test AUROC less float32's, over the attributes and seeds that both have."""
    ours, theirs = (scores(lines, kind, one, "test") for one in (arm, "float32"))
    differences = [ours[key] - theirs[key] for key in ours if key in theirs]
    return interval(differences) if differences and arm != "float32" else ""


def table(lines: Sequence[Line]) -> str:
    """One row per arm; its branch trainings, then its probes."""
    rows = [HEAD, tuple("---" for _ in HEAD)]
    for cache in (line for line in lines if line["kind"] == "cache"):
        arm = cache["arm"]
        branches = [line for line in lines if line["kind"] == "branch" and line["arm"] == arm]
        if not branches:
            continue
        step = min(line["seconds"] / line["steps"] for line in branches)
        probe = scores(lines, "probe", arm, "test")
        rows.append(
            (
                arm,
                f"{cache['bytes'] / cache['images']:,.0f}",
                f"{cache['seconds']:.0f} ({cache['estimated_seconds']:.0f})",
                f"{1e3 * step:.1f}",
                f"{fmean(scores(lines, 'branch', arm, 'val').values()):.4f}",
                f"{fmean(scores(lines, 'branch', arm, 'test').values()):.4f}",
                against(lines, "branch", arm),
                f"{fmean(probe.values()):.4f}",
                against(lines, "probe", arm),
            )
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
