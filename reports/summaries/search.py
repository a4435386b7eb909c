"""Read one search folder, however much of it is there, and say what is not."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from foundation.errors import UserError
from foundation.history import read_history
from reports.errors import ReportError
from reports.summaries.predictions import (
    NO_PREDICTIONS,
    Predictions,
    missing_predictions,
    read_predictions,
    weights_problem,
)
from reports.summaries.values import items, number, table, text, whole

READ = (
    *("config.json", "result.json", "architecture.json", "history.jsonl", "audit.json"),
    *("predictions.csv", "pictures.json"),
)

Counts = dict[str, dict[str, int]]  # split -> value -> images


class Records(NamedTuple):
    """What a search has written so far. `problems`: one sentence per file that is missing or cannot be read."""

    folder: Path
    config: dict[str, object]
    result: dict[str, object]
    architecture: dict[str, object]
    history: tuple[dict[str, object], ...]
    problems: tuple[str, ...]
    audit: dict[str, object] = {}  # noqa: RUF012 - never changed
    predictions: Predictions = NO_PREDICTIONS
    pictures: dict[str, object] = {}  # noqa: RUF012 - never changed
    probe: dict[str, object] = {}  # noqa: RUF012 - never changed

    def of(self, kind: str) -> tuple[dict[str, object], ...]:
        """The records of one kind, in the order they were written."""
        return tuple(record for record in self.history if record.get("kind") == kind)


class Costs(NamedTuple):
    """What a part costs; None where it was not measured. MACs and latency are for one image."""

    parameters: float | None
    macs: float | None
    latency_ms: float | None


def read_records(folder: Path, *, whole: bool = True) -> Records:
    """`config.json`, `result.json`, `architecture.json`, `history.jsonl` and, if any, `audit.json` of a search folder.

    With them what is recorded of single images, where it is: `predictions.csv` and `pictures.json`, which earlier
    searches do not have, whether the branch of a finished search is whole, and, where the folder lies in a project's
    runs, what a probe says of the attribute on the search's trunk.
    whole: off where `config.json` and `result.json` will do, as of many searches at once.

    Raises ReportError when there is no such folder; a missing or broken file becomes a problem instead.
    """
    if not folder.is_dir():
        raise ReportError(f"There is no search folder at {folder}: run the search first, or name the folder it wrote.")
    problems: list[str] = []
    config = _read_object(folder / "config.json", "the settings of the search are not known", problems)
    result = _read_object(folder / "result.json", "the search has not finished, or was interrupted", problems)
    if not whole:
        return Records(folder, config, result, table(result.get("architecture")), (), tuple(problems))
    history = _read_history(folder / "history.jsonl", problems)
    if result and history and not _ends_whole(folder / "history.jsonl"):
        problems.append("history.jsonl ends inside a line, though the search has finished: the file was cut.")
    architecture = table(result.get("architecture"))
    if (folder / "architecture.json").exists() or result:
        alone = _read_object(folder / "architecture.json", "result.json holds the same", problems)
        architecture = architecture or alone
    has_audit = (folder / "audit.json").exists()
    audit = _read_object(folder / "audit.json", "", problems) if has_audit else {}
    predictions = read_predictions(folder / "predictions.csv", problems)
    has_pictures = (folder / "pictures.json").exists()
    pictures = _read_object(folder / "pictures.json", "", problems) if has_pictures else {}
    if result:
        _check_branch(folder / "branch", problems)
    if cut := missing_predictions(predictions, table(table(result.get("data")).get("counts"))):
        problems.append(cut)
    probe = _read_probe(folder, text(result.get("fingerprint")) or text(config.get("fingerprint")) or "", problems)
    return Records(
        folder, config, result, architecture, tuple(history), tuple(problems), audit, predictions, pictures, probe
    )


def files_read(folder: Path) -> list[Path]:
    """All files that `read_records` may read for a search's page, whether they are there or not."""
    branch = [folder / "branch" / name for name in ("branch.json", "weights.safetensors")]
    parents = folder.resolve().parents
    in_runs = len(parents) > 2 and parents[1].name == "searches"
    probes = sorted((parents[2] / "probes").glob(f"*/{parents[0].name}.json")) if in_runs else []
    return [*(folder / name for name in READ), *branch, *probes]


def _read_probe(folder: Path, fingerprint: str, problems: list[str]) -> dict[str, object]:
    """The probe of a search in ``runs/searches/ATTR/ID``, of the trunk that it read; empty where there is none."""
    parents = folder.resolve().parents
    if len(parents) < 3 or parents[1].name != "searches" or not re.fullmatch("[0-9a-f]{64}", fingerprint):
        return {}
    path = parents[2] / "probes" / fingerprint[:12] / f"{parents[0].name}.json"
    probe = _read_object(path, "", problems) if path.is_file() else {}
    return probe if probe.get("fingerprint") == fingerprint else {}


def _check_branch(folder: Path, problems: list[str]) -> None:
    """Whether the winner's weights and their record are there, whole; a page needs neither, a graft both."""
    _read_object(folder / "branch.json", "the branch cannot be grafted or exported", problems)
    if sentence := weights_problem(folder / "weights.safetensors"):
        problems.append(sentence)


def _read_object(path: Path, consequence: str, problems: list[str]) -> dict[str, object]:
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is no file")  # a pipe would be waited for
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problems.append(f"{_named(path)} is missing: {consequence}.")
        return {}
    except (OSError, ValueError, RecursionError) as error:
        problems.append(f"{_named(path)} cannot be read ({_first_line(error)}).")
        return {}
    if not isinstance(content, dict):
        problems.append(f"{_named(path)} does not hold a JSON object.")
    return table(content)


def _read_history(path: Path, problems: list[str]) -> list[dict[str, object]]:
    try:
        records: Sequence[object] = read_history(path)
    except FileNotFoundError:
        problems.append(f"{path.name} is missing: there are no curves and no candidates.")
        return []
    except (OSError, UserError, RecursionError):
        records = _readable_lines(path, problems)
    if not records:
        problems.append(f"{path.name} holds no records yet.")
    return [record for record in map(table, records) if record]


def _readable_lines(path: Path, problems: list[str]) -> list[object]:
    """Line by line, for a history that has a damaged line in the middle."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        problems.append(f"{path.name} cannot be read ({_first_line(error)}).")
        return []
    records: list[object] = []
    damaged = 0
    for line in filter(None, map(bytes.strip, lines)):
        try:
            records.append(json.loads(line))
        except (ValueError, RecursionError):
            damaged += 1
    if damaged:
        problems.append(f"{path.name} has {damaged} damaged line{'s' if damaged > 1 else ''}, left out here.")
    return records


def _ends_whole(path: Path) -> bool:
    """Whether the last line has its end; of a search under way it may lack it."""
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def _named(path: Path) -> str:
    return f"branch/{path.name}" if path.parent.name == "branch" else path.name


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def costs_of(record: dict[str, object], prefix: str = "") -> Costs:
    """The entries `parameters`, `macs` and `latency_ms` of a record; `prefix`: "tail_" for those of the tail."""
    return Costs(*(number(record.get(f"{prefix}{part}")) for part in Costs._fields))


def counts_of(result: dict[str, object]) -> Counts:
    """Images of each value in each split."""
    return {
        split: {value: known for value, images in table(by_value).items() if (known := whole(images)) is not None}
        for split, by_value in table(table(result.get("data")).get("counts")).items()
    }


def values_of(records: Records) -> tuple[str, ...]:
    """The names of the attribute's values."""
    for source in (records.result, records.config, table(records.config.get("attribute"))):
        if named := tuple(str(value) for value in items(source.get("values"))):
            return named
    return ()


def attribute_of(records: Records) -> str:
    """The attribute's name; the folder's, `<attribute>/<id>`, when no file says it."""
    for source in (records.result, records.config):
        named = source.get("attribute")
        if name := text(named) or text(table(named).get("name")):
            return name
    return records.folder.resolve().parent.name or records.folder.name


def reward_metric(records: Records) -> str:
    """The key of the metric the search maximised, "auroc" unless the records say otherwise."""
    for source in (records.result, records.config, table(records.config.get("search"))):
        if named := text(source.get("reward")):
            return named
    return "auroc"


def strategy_of(records: Records) -> str:
    """How it was searched, "enas" unless the records say otherwise."""
    return text(records.result.get("strategy")) or text(records.config.get("strategy")) or "enas"


def by_hand(records: Records) -> bool:
    """Whether the branch was chosen by hand, and nothing searched."""
    return strategy_of(records) == "by-hand"


def judge_of(records: Records) -> str:
    """What the candidates' scores are from: shared weights, DARTS's mixture, or short trainings."""
    strategy = strategy_of(records)
    if strategy == "enas":
        return "with shared weights"
    return "of the mixture it is from" if strategy == "nni-darts" else "after a short training"


def winner_identity(records: Records) -> str | None:
    """The identity of the architecture that won the search, None before that; another kind may be the result."""
    searched = table(table(records.result.get("controls")).get("searched"))
    return text(searched.get("identity")) or text(records.result.get("identity"))
