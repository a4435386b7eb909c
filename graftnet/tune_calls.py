"""What `graftnet tune` answers: a study's outcome in words, its records, and where its report is."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftnet.answer import Answer, text_table
from graftnet.errors import ConfigError
from graftnet.progress import show_progress
from graftnet.project import Project, open_project
from graftnet.searching import announce
from graftnet.studies import all_studies, read_study, studies_folder, subject_of

if TYPE_CHECKING:
    from graftnet.tuning import TuneRequest

SHOWN = ("name", "study", "attribute", "settled", "wanted", "metric", "second", "front", "picked", "importances")


def tune_call(folder: Path | None, make: "Callable[[Path], TuneRequest]", *, workers: int) -> Answer:
    """Tune, or continue, and write the report; make: the request, of the project's folder."""
    project = open_project(folder)
    request = make(project.folder)
    if request.attribute is not None:
        project.source(request.attribute)
    from graftnet.tuning import tune

    with show_progress() as progress:
        return tuned_in(tune(request, workers=workers, announce=announce, progress=progress))


def tuned_in(folder: Path) -> Answer:
    """A study as its record says it is: the picked trial, why, and what comes next; its report is written."""
    from reports.study import write_study_report

    study, report = read_study(folder), write_study_report(folder)
    by_slot = {trial["trial"]: trial for trial in study["trials"]}
    picked = by_slot[study["picked"]["trial"]] if study["picked"] else None
    lines = [f"{study['name']}: {study['sentence']}"]
    if picked:
        lines.append("  " + ", ".join(f"{name} {value}" for name, value in picked["setting"].items()))
    lines += [f"  record {folder / 'study.json'}", f"  report {report}"]
    if picked:
        lines.append(f"Next: graftnet tune apply {subject_of(study)}")
    shown = {key: study[key] for key in SHOWN if key in study}
    return Answer({**shown, "trial": picked, "folder": str(folder), "report": str(report)}, "\n".join(lines))


def depths_of(text: str | None) -> tuple[int, ...]:
    """The depths of --depths.

    >>> depths_of("3, 5"), depths_of(None)
    ((3, 5), ())
    """
    if text is None:
        return ()
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--depths must be whole numbers with commas between them, as 3,4,5, is {text!r}.") from None
    return found


def studies_in(project: Project) -> Answer:
    """The project's studies, for --json and in words."""
    records: list[dict[str, Any]] = []
    for folder in all_studies(project):
        study = read_study(folder)
        head = {key: study[key] for key in ("name", "study", "attribute", "settled", "wanted", "storage", "created")}
        records.append({**head, "picked": study["picked"], "folder": str(folder)})
    if not records:
        none = f"{studies_folder(project)} holds no study yet; run `graftnet tune depth ATTR`."
        return Answer({"studies": []}, none)
    rows = [(one["name"], f"{one['settled']}/{one['wanted']} trials", one["created"]) for one in records]
    return Answer({"studies": records}, "\n".join(text_table(rows)))
