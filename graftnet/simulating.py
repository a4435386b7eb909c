"""Rules tried on labelled images: predict with the bundle, simulate, and say what came out."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deployment.rules import Rules
from deployment.rules.conditions import Found
from deployment.rules.simulation import simulate
from deployment.runtime import Runtime
from foundation.progress import Progress
from graftnet.labelled import Labelled, read_labelled

BATCH = 32


def simulate_rules(
    rules_file: Path,
    bundle: Path,
    source: Path,
    *,
    images: Path | None = None,
    split: str = "test",
    every: float | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What :func:`deployment.rules.simulation.simulate` says of these rules on a bundle's predictions.

    Raises:
        RulesError, BundleError, ConfigError, DataError: of the rules, the bundle, the labelled images.
    """
    runtime = Runtime(bundle)
    rules = Rules.read(rules_file, runtime.contracts)
    values = {name: runtime.contracts[name]["values"] for name in rules.attributes}
    labelled = read_labelled(source, values, images=images, split=split)
    record = simulate(rules.rules, predicted(runtime, rules.attributes, labelled, progress), every=every)
    return {"split": split, **record, "uncalibrated": uncalibrated(runtime, rules)}


def predicted(
    runtime: Runtime, attributes: Sequence[str], labelled: Labelled, progress: Progress | None
) -> Iterator[tuple[Mapping[str, Found], Mapping[str, str]]]:
    """What the bundle says of these attributes of each image, beside its labels."""
    for start in range(0, len(labelled), BATCH):
        part = labelled[start : start + BATCH]
        rows = runtime.predict([path for path, _ in part], attributes=attributes, batch_size=BATCH)
        yield from ((row["attributes"], labels) for row, (_, labels) in zip(rows, part, strict=True))
        if progress:
            progress("images", start + len(part), len(labelled), {})


def uncalibrated(runtime: Runtime, rules: Rules) -> list[str]:
    """The attributes of these rules whose branches were exported without a calibration."""
    return [name for name in rules.attributes if runtime.contracts[name].get("calibration") is None]


def uncalibrated_lines(names: list[str]) -> list[str]:
    """A line about the attributes whose raw scores stand in, or none."""
    if not names:
        return []
    return [
        f"note: {', '.join(names)}: no calibration in the bundle, so raw scores are compared; search anew to get one."
    ]


def simulation_lines(record: Mapping[str, Any]) -> list[str]:
    """The simulation for a person: a paragraph per rule, then what to expect of all together."""
    total = record["images"]
    lines = []
    for rule in record["rules"]:
        lines += [
            f"{rule['rule']} (line {rule['line']}): {rule['when']} -> {rule['action']}",
            f"  fires on {rule['fires']:,} of {total:,} images, wins {rule['pushes']:,}, unsure {rule['abstains']:,}",
            f"  precision {shown(rule['precision'])}, recall {shown(rule['recall'])}, "
            f"false alarms {shown(rule['false_alarms'])}",
        ]
    alone = "each alone" if record["every"] is None else f"one every {record['every']:g} s"
    lines.append(
        f"Together ({total:,} images, {alone}): {record['pushes']:,} pushes, {record['no_action']:,} without one, "
        f"{record['abstained']:,} of them because a rule was unsure."
    )
    false = record["false_pushes"]
    if false is None:
        lines.append("False pushes: the labels tell of none of the images.")
    else:
        low, value, high = (1000 * false[key] for key in ("low", "value", "high"))
        lines.append(
            f"False pushes per 1,000 images like these: {value:.1f} [{low:.1f}, {high:.1f}] "
            f"({false['part']:,} of {false['whole']:,} that the labels tell of)."
        )
    return [*lines, *uncalibrated_lines(record["uncalibrated"])]


def shown(found: Mapping[str, float] | None) -> str:
    """A share with its interval, ``0.812 [0.745, 0.864]``; ``unknown`` of nothing."""
    return "unknown" if found is None else f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
