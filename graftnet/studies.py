"""The studies of a project: where they lie, which is the newest of an attribute, and what their records say.

``runs/studies/NAME/study.json`` is written anew after every trial; NAME is the kind, the attribute and 12 hex digits of
what defines the study. The trials themselves are in the storage, by default ``runs/studies/studies.db``.
"""

from pathlib import Path
from typing import Any

from foundation.files import read_json
from graftnet.errors import ConfigError
from graftnet.project import Project, by_age

RECORD = "study.json"
GCN = "gcn"


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
        return read_json(folder / RECORD)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{folder / RECORD} cannot be read ({error}); run the same `graftnet tune` again, which writes it anew."
        ) from error


def newest_study(project: Project, subject: str) -> Path:
    """The newest study of an attribute, or of the label graph ("gcn").

    Raises:
        ConfigError: there is none.
    """
    found = [folder for folder in all_studies(project) if subject_of(read_study(folder)) == subject]
    if not found:
        if subject != GCN:
            project.source(subject)
        command = "graftnet tune gcn" if subject == GCN else f"graftnet tune depth {subject}"
        raise ConfigError(f"There is no study of {subject} in {studies_folder(project)} yet; run `{command}` first.")
    return found[-1]


def subject_of(record: dict[str, Any]) -> str:
    """The attribute that a study tunes, or "gcn"."""
    return str(record.get("attribute") or record["study"])
