"""Sections of data and time, of what more labels would bring, and of how to repeat the search."""

import json
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from reports.layout.figures import DASHES, MARKERS, legend, light, logarithmic, panel, styled
from reports.layout.formats import METRIC_NAMES, NOTHING, Names, count, duration, score, share
from reports.layout.pages import Listing, Section, Table, picture
from reports.search.images import example_gallery
from reports.summaries.comparison import winner_name
from reports.summaries.search import Records, counts_of
from reports.summaries.values import numbers, numbers_of, table, text, whole

STAGES = Names(features="features", search="search", retrain="retraining", controls="controls", total="total")


def data_section(records: Records) -> Section:
    """How many images of each value there were in each split, and where the time went."""
    counts = counts_of(records.result)
    tables, missing = [], []
    values = list(dict.fromkeys(value for entries in counts.values() for value in entries))
    if values:
        totals = {split: sum(entries.values()) for split, entries in counts.items()}
        rows = [
            (value, *(_count_of(counts[split].get(value, 0), totals[split]) for split in counts)) for value in values
        ]
        rows.append(("all", *(count(total) for total in totals.values())))
        tables.append(Table("Images of each value, and their share of the split.", ("value", *counts), tuple(rows)))
    else:
        missing.append("the number of images is not recorded")
    seconds = numbers_of(records.result.get("seconds"))
    if seconds:
        total_seconds = seconds.get("total")
        keys = [*(key for key in STAGES if key in seconds), *(key for key in seconds if key not in STAGES)]
        stages = (
            (
                STAGES[key],
                duration(seconds[key]),
                share(seconds[key] / total_seconds) if total_seconds else NOTHING,
            )
            for key in keys
        )
        tables.append(Table("Time by stage.", ("stage", "time", "share"), tuple(stages)))
    else:
        missing.append("the time each stage took is not recorded")
    galleries = (examples,) if (examples := example_gallery(records)) else ()
    told = shared_images(records)
    return Section("data", "Data and time", told, (), tuple(tables), missing=tuple(missing), galleries=galleries)


def labels_section(records: Records) -> Section | None:
    """The learning curve; None where there is none, as of earlier searches."""
    curve = table(records.result.get("learning_curve"))
    images = numbers(curve.get("images"))
    kinds = {"winner": winner_name(records), "probe": "linear probe"}
    lines = {kind: numbers(curve.get(kind)) for kind in kinds}
    lines = {kind: scores for kind, scores in lines.items() if images and len(scores) == len(images)}
    metric, split = text(curve.get("metric")) or "", text(curve.get("split"))
    if not lines or metric not in METRIC_NAMES or split is None or min(images) <= 0:
        return None
    drawn = curve_figure(images, {kinds[kind]: (kind, scores) for kind, scores in lines.items()}, metric, split)
    spoken = "; ".join(
        f"{kinds[kind]} {', '.join(map(score, scores))} with {', '.join(map(count, images))} images"
        for kind, scores in lines.items()
    )
    caption = "Each point: trained on so many of the training images, up to all of them; the axis is logarithmic."
    said = text(curve.get("sentence")) or ""
    lead = f"{said[:1].upper()}{said[1:]}." if said else ""
    shown = picture("learning-curve", "Learning curve", drawn, caption, f"{METRIC_NAMES[metric]} on {split}: {spoken}.")
    return Section("labels", "More labels", lead, (shown,))


@styled
def curve_figure(
    images: Sequence[float], lines: Mapping[str, tuple[str, Sequence[float]]], metric: str, split: str
) -> Figure:
    """The score over the number of training images; lines: name -> whose colour it has, and its scores."""
    figure, axes = panel("training images", f"{METRIC_NAMES[metric]}, {split}")
    for name, (role, scores) in lines.items():
        axes.plot(images, scores, color=light(role), linestyle=DASHES[role], marker=MARKERS[role], label=name)
    logarithmic(axes, list(images))
    legend(axes)
    return figure


def shared_images(records: Records) -> str:
    """The images that two splits of the user's own share, in a sentence; "" where there are none."""
    shared = numbers_of(table(records.result.get("data")).get("shared"))
    if not shared:
        return ""
    pairs = ", ".join(f"{pair.replace('/', ' and ')} {count(number)}" for pair, number in shared.items())
    return (
        f"Splits share images with equal contents: {pairs}. What was learned by heart counts as right there, so the "
        f"figures are too high."
    )


def _count_of(images: int, total: int) -> str:
    return f"{count(images)}\n{share(images / total)}" if total else count(images)


def repeat_section(records: Records) -> Section:
    """The command, versions, fingerprints and settings; and every plain field of result.json."""
    result, config = records.result, records.config
    command = text(result.get("command")) or text(config.get("command"))
    versions = table(result.get("versions")) or table(config.get("versions"))
    missing = [] if command else ["the command is not recorded"]
    listings = [Listing("Command", command)] if command else []
    if config:
        listings.append(Listing("Settings (config.json)", _pretty(config), folded=True))
    tables = []
    data = table(result.get("data"))
    facts = (
        ("created", text(result.get("created"))),
        ("machine", result.get("machine")),
        ("seed", whole(result.get("seed", config.get("seed")))),
        ("trunk fingerprint", text(result.get("fingerprint")) or text(config.get("fingerprint"))),
        ("data digest", text(data.get("digest"))),
        ("folder", str(records.folder)),
    )
    rows = tuple((name, _written(value)) for name, value in facts if value not in (None, {}, []))
    tables.append(Table("Where it comes from.", ("", "value"), rows))
    if versions:
        tables.append(
            Table(
                "Versions.", ("package", "version"), tuple((name, _written(entry)) for name, entry in versions.items())
            )
        )
    else:
        missing.append("the versions are not recorded")
    if result:
        fields = "\n".join(f"{name} = {value}" for name, value in _flat(result))
        listings.append(Listing("All fields of result.json", fields, folded=True))
    return Section("repeat", "To repeat it", "", (), tuple(tables), tuple(listings), tuple(missing))


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _written(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_written(entry)}" for name, entry in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _flat(value: object, prefix: str = "") -> list[tuple[str, str]]:
    """Dotted names and values; long lists (curves) only by their length."""
    if isinstance(value, Mapping) and value:
        return [
            pair for name, entry in value.items() for pair in _flat(entry, f"{prefix}.{name}" if prefix else str(name))
        ]
    if isinstance(value, list) and len(value) > 12:
        return [(prefix, f"({len(value)} entries)")]
    return [(prefix, json.dumps(value, ensure_ascii=False, default=str))]
