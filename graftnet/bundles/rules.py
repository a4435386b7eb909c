"""Rules on a bundle's predictions, tried on labelled images: read the labels, simulate, and say what comes out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deployment.rules import Rules
from deployment.rules.conditions import Found
from deployment.rules.simulation import simulate
from deployment.runtime import Runtime
from foundation.history import Progress
from graftnet.errors import ConfigError
from graftnet.project.config import CONFIG_NAME
from graftnet.project.folder import open_project
from graftnet.terminal.output import Answer
from subdatasets.attribute import attribute_name, is_unknown, spellings
from subdatasets.reading.forms import PATH_COLUMNS, cell, ragged, required_column, unknown_split
from subdatasets.reading.problems import SPLIT_NAMES, Problem, refusal
from subdatasets.reading.tables import Locations, Table, read_table
from subdatasets.splits import SPLITS
from subdatasets.words import PAIRS

BATCH = 32
EVERY = "all"  # splits

Labelled = list[tuple[Path, dict[str, str]]]


def simulate_rules(
    rules_file: Path,
    bundle: Path,
    source: Path,
    *,
    images: Path | None = None,
    split: str = "test",
    every: float | None = None,
    progress: Progress | None = None,
) -> Answer:
    """What :func:`deployment.rules.simulation.simulate` says of these rules on a bundle's predictions.

    Raises:
        RulesError, BundleError, ConfigError, DataError: of the rules, the bundle, the labelled images.
    """
    runtime = Runtime(bundle)
    rules = Rules.read(rules_file, runtime.contracts)
    values = {name: runtime.contracts[name]["values"] for name in rules.attributes}
    labelled = read_labelled(source, values, images=images, split=split)
    record = simulate(rules.rules, predicted(runtime, rules.attributes, labelled, progress), every=every)
    raw = uncalibrated(runtime, rules)
    lines = [*simulation_lines(record), *uncalibrated_lines(raw)]
    return Answer({"split": split, **record, "uncalibrated": raw}, "\n".join(lines))


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
    note = "no calibration in the bundle, so raw scores are compared; search anew to get one."
    return [f"note: {', '.join(names)}: {note}"] if names else []


def simulation_lines(record: Mapping[str, Any]) -> list[str]:
    """The simulation for a person: a paragraph per rule, then what to expect of all together."""
    total = record["images"]
    lines = []
    for rule in record["rules"]:
        lines += [
            f"{rule['rule']} (line {rule['line']}): {rule['when']} -> {rule['action']}",
            f"  fires on {rule['fires']:,} of {total:,} images, wins {rule['pushes']:,}, unsure {rule['abstains']:,}",
            f"  precision {share_text(rule['precision'])}, recall {share_text(rule['recall'])}, "
            f"false alarms {share_text(rule['false_alarms'])}",
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
    return lines


def share_text(share: Mapping[str, float] | None) -> str:
    """A share with its interval, ``0.812 [0.745, 0.864]``; ``unknown`` of nothing."""
    return "unknown" if share is None else f"{share['value']:.3f} [{share['low']:.3f}, {share['high']:.3f}]"


def read_labelled(source: Path, values: Mapping[str, Sequence[str]], *, images: Path | None, split: str) -> Labelled:
    """Each image once with {attribute: value}; what is not known is left out.

    Args:
        source: a table with a column for the image and one per attribute, or a project's folder.
        values: attribute -> its values, as the bundle has them; other columns and sub-datasets are passed over.
        images: the folder that relative paths of a table count from; None: the table's.
        split: train, val, test, or "all"; a table without a column `split` is taken whole.

    Raises:
        ConfigError: no attribute is labelled there, or no image is in the split. DataError: what cannot be read.
    """
    if split not in (*SPLITS, EVERY):
        raise ConfigError(f"There is no split {split!r}; use one of {', '.join((*SPLITS, EVERY))}.")
    labelled = _of_project(source, values, split) if source.is_dir() else _of_table(source, values, images, split)
    if not labelled:
        raise ConfigError(f"{source} has no image in the split {split!r}; name another with --split.")
    return labelled


def _of_project(folder: Path, values: Mapping[str, Sequence[str]], split: str) -> Labelled:
    """Labels of the same image in several sub-datasets are joined."""
    if not (folder / CONFIG_NAME).is_file():
        raise ConfigError(f"{folder} is neither a table nor a project (it has no {CONFIG_NAME}); name one of them.")
    project = open_project(folder)
    sources = {name: source for name, source in project.sources().items() if name in values}
    _require(sources, values, project.data)
    labels: dict[Path, dict[str, str]] = {}
    for name, source in sources.items():
        subdataset = project.read(name)
        own = translation(subdataset.attribute.values, values[name])
        for example in subdataset.examples:
            value = own.get(subdataset.attribute.values[example.value])
            if value is None:
                raise ConfigError(
                    f"{source} has the value {subdataset.attribute.values[example.value]!r} and the bundle's {name} "
                    f"has {', '.join(values[name])}; export the bundle again."
                )
            if split in (EVERY, example.split):
                labels.setdefault(example.path, {})[name] = value
    return list(labels.items())


def _of_table(path: Path, values: Mapping[str, Sequence[str]], images: Path | None, split: str) -> Labelled:
    table = read_table(path)
    file_column = required_column(table, "path", PATH_COLUMNS)
    split_column = table.column("split")
    titles = {attribute_name(title).casefold(): position for position, title in enumerate(table.header)}
    columns = {name: titles[name.casefold()] for name in values if name.casefold() in titles}
    _require(columns, values, path)
    words = {name: _words(table, position, values[name]) for name, position in columns.items()}
    locations = Locations(images or path.absolute().parent)
    problems: list[Problem] = []
    labelled: Labelled = []
    for row in table.rows:
        name, part = cell(row.cells, file_column), cell(row.cells, split_column)
        image = locations.existing(name) if name else None
        wrong = ragged(row, table)
        if wrong is None and image is None:
            wrong = f"there is no image {name!r} in {locations.folder} (correct or delete the row)"
        if wrong is None and split_column is not None and part.casefold() not in SPLIT_NAMES:
            wrong = unknown_split(part)
        labels = {}
        for attribute, position in columns.items():
            text = cell(row.cells, position)
            if not is_unknown(text) and text in words[attribute]:
                labels[attribute] = words[attribute][text]
            elif not is_unknown(text):
                listed = ", ".join(values[attribute])
                wrong = wrong or f"{text!r} is no value of {attribute} ({listed}) (correct it, or leave it blank)"
        if wrong is not None or image is None:
            problems.append(Problem("error", path, row.line, str(wrong)))
        elif split == EVERY or split_column is None or SPLIT_NAMES[part.casefold()] == split:
            labelled.append((image, labels))
    if problems:
        raise refusal(path, problems)
    return labelled


def _words(table: Table, position: int, values: Sequence[str]) -> dict[str, str]:
    """Cell text -> the bundle's value, for every text of a column that means one."""
    canonical = spellings(text for row in table.rows if not is_unknown(text := cell(row.cells, position)))
    own = translation(canonical.values(), values)
    return {text: own[value] for text, value in canonical.items() if value in own}


def translation(words: Iterable[str], values: Sequence[str]) -> dict[str, str]:
    """Found value -> the bundle's: the same word, or where both say no and yes in their own way (0/1, false/true)."""
    distinct = set(words)
    own = {value: value for value in distinct if value in values}
    ours = next((pair for pair in PAIRS if set(pair) == {value.casefold() for value in values}), None)
    theirs = next((pair for pair in PAIRS if distinct and {value.casefold() for value in distinct} <= set(pair)), None)
    if ours and theirs and len(own) < len(distinct):
        meaning = dict(zip(theirs, sorted(values, key=lambda value: ours.index(value.casefold())), strict=True))
        return {value: meaning[value.casefold()] for value in distinct}
    return own


def _require(labelled: Mapping[str, Any], values: Mapping[str, Sequence[str]], source: Path) -> None:
    if not labelled:
        raise ConfigError(f"{source} labels none of the attributes {', '.join(values)}; name columns or files so.")
