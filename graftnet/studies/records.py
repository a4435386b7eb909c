"""Studies on disk: find and read their records, and write a trial's settings into graftnet.toml."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from foundation.errors import RecordError
from foundation.files import write_bytes
from foundation.records import Name, Text, Whole, read_record, reading
from graftnet.errors import ConfigError
from graftnet.project.config import CONFIG_NAME, config_of, parse_config, project_of
from graftnet.project.folder import Project, by_age
from graftnet.project.toml_edit import dotted, set_values, toml
from graftnet.terminal.output import Answer
from graftnet.trunks.advice import depth_in_use
from nas.tuning.depth_knobs import DEPTH_KNOBS

RECORD = "study.json"
GCN = "gcn"


class PickedShape(TypedDict):
    """The trial that a study picked."""

    trial: Whole


class TrialShape(TypedDict):
    """One trial; its setting is held against graftnet.toml before it is written there."""

    trial: Whole
    state: Text
    setting: NotRequired[dict[str, str | int | float | bool | None]]
    score: NotRequired[float | None]


class StudyShape(TypedDict):
    """What ``study.json`` must be."""

    study: Text
    name: Text
    attribute: NotRequired[Name | None]
    settled: Whole
    wanted: Whole
    storage: Text
    created: Text
    trials: list[TrialShape]
    picked: PickedShape | None


def studies_folder(project: Project) -> Path:
    """The folder with one folder per study."""
    return project.runs / "studies"


def default_storage(project: Project) -> Path:
    """The SQLite file of the project's studies."""
    return studies_folder(project) / "studies.db"


def study_name(kind: str, attribute: str | None, identity: str) -> str:
    """The name of a study, in the storage and of its folder.

    >>> study_name("depth", "bald", "0123456789ab")
    'depth-bald-0123456789ab'
    """
    return "-".join([kind, *([attribute] if attribute else []), identity])


def all_studies(project: Project) -> list[Path]:
    """The folders of all studies that have a record, the one that changed last at the end."""
    return by_age(studies_folder(project).glob(f"*/{RECORD}"))


def read_study(folder: Path) -> dict[str, Any]:
    """What a study's record says.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return read_record(folder / RECORD, StudyShape)
    except RecordError as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise ConfigError(
            f"{folder / RECORD} cannot be read ({error}); run the same `graftnet tune` again, which writes it anew."
        ) from error


def newest_study(project: Project, subject: str) -> Path:
    """The newest study of an attribute, or of the label graph ("gcn").

    Raises:
        ConfigError: there is none.
    """
    studies = [folder for folder in all_studies(project) if subject_of(read_study(folder)) == subject]
    if not studies:
        if subject != GCN:
            project.source(subject)
        command = "graftnet tune gcn" if subject == GCN else f"graftnet tune depth {subject}"
        raise ConfigError(f"There is no study of {subject} in {studies_folder(project)} yet; run `{command}` first.")
    return studies[-1]


def subject_of(record: dict[str, Any]) -> str:
    """The attribute that a study tunes, or "gcn"."""
    return str(record.get("attribute") or record["study"])


def apply_study(project: Project, subject: str, *, trial: int | None = None) -> Answer:
    """Write the settings of a study's picked trial, or of another finished one, into graftnet.toml.

    Comments and everything else in the file stay; it is replaced whole or not at all.

    Raises:
        ConfigError: there is no study, no such trial, or the file is written in a form that cannot be changed.
    """
    folder = newest_study(project, subject)
    record = read_study(folder)
    chosen = trial_of(record, trial, folder)
    with reading(folder / RECORD):
        wanted = gcn_values(chosen) if subject == GCN else depth_values(project, subject, chosen)
    path = (project.folder / CONFIG_NAME).resolve()
    text = path.read_text(encoding="utf-8")
    with reading(folder / RECORD):
        before = {key: standing_value(project, key) for key in wanted}
    changes = {key: value for key, value in wanted.items() if before[key] != value}
    if changes:
        changed = set_values(text, changes)
        parse_config(changed, str(path))  # what is written can be read
        write_bytes(path, changed.encode())
    shown = tuple((dotted(key), before[key], value) for key, value in changes.items())
    return applied(subject, folder, chosen["trial"], shown, path)


def trial_of(record: Mapping[str, Any], number: int | None, folder: Path) -> Mapping[str, Any]:
    """The picked trial of a study, or the one of this number.

    Raises:
        ConfigError: none is finished yet, or that one is not.
    """
    if number is None:
        if record["picked"] is None:
            raise ConfigError(f"No trial of {folder} is finished yet; run its `graftnet tune` again.")
        number = record["picked"]["trial"]
    finished = {trial["trial"]: trial for trial in record["trials"] if trial["state"] == "finished"}
    if number not in finished:
        raise ConfigError(
            f"--trial {number} is not a finished trial of {folder}; finished are {', '.join(map(str, finished))}."
        )
    chosen: Mapping[str, Any] = finished[number]
    return chosen


def depth_values(project: Project, attribute: str, trial: Mapping[str, Any]) -> dict[tuple[str, ...], Any]:
    """The settings of a depth trial, by where they are set for this attribute."""
    setting = trial["setting"]
    tail = setting["space"] == "tail"
    home = ("attributes", attribute)
    values: dict[tuple[str, ...], Any] = {(*home, "branch", "kind"): "tail" if tail else "searched"}
    own = config_of(project.config, attribute)
    for name, knob in DEPTH_KNOBS.items():
        key = knob.tail if tail else knob.key
        if key is not None and name in setting:
            listed = isinstance(getattr(getattr(own, key[0]), key[1]), tuple)  # the one value to choose among
            values[(*home, *key)] = [setting[name]] if listed else setting[name]
    if not tail and setting["space"] == "macro" and own.search.depths:
        values[(*home, "search", "depths")] = []  # any number of the nodes, as the trial had it
    if own.branch.kind == values[(*home, "branch", "kind")]:
        del values[(*home, "branch", "kind")]
    return values


def gcn_values(trial: Mapping[str, Any]) -> dict[tuple[str, ...], Any]:
    """The settings of a label graph's trial, by where they are set."""
    return {("label_graph", name): value for name, value in trial["setting"].items()}


def standing_value(project: Project, key: tuple[str, ...]) -> Any:
    """What the project has at a key now; of an attribute's tables, what is said for all where it says nothing."""
    config = config_of(project.config, key[1]) if key[0] == "attributes" else project.config
    value = getattr(getattr(config, key[-2]), key[-1])
    if key[-2:] == ("trunk", "freeze_depth"):
        return depth_in_use(project_of(project, key[1]) if key[0] == "attributes" else project, key[1])
    return list(value) if isinstance(value, tuple) else value


def applied(subject: str, study: Path, trial: int, changes: Sequence[tuple[str, Any, Any]], file: Path) -> Answer:
    """What was written: a study's trial, and per key the old and the new value; none where all stood there already."""
    record = {
        "subject": subject,
        "study": str(study),
        "trial": trial,
        "file": str(file),
        "changes": [{"key": key, "before": before, "now": now} for key, before, now in changes],
    }
    if not changes:
        return Answer(record, f"{file} has the settings of trial {trial} already.")
    lines = [f"  {key} {toml(before)} -> {toml(now)}" for key, before, now in changes]
    next_ = "graftnet graph train" if subject == GCN else f"graftnet search {subject}"
    return Answer(record, "\n".join([f"Trial {trial} of {study.name}, in {file}:", *lines, f"Next: {next_}"]))
