"""What `graftnet tune` answers: a study's outcome in words, its records, and where its report is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftnet.errors import ConfigError
from graftnet.progress import show_progress
from graftnet.project import Project, open_project
from graftnet.searching import announce
from graftnet.studies import all_studies, read_study, studies_folder, subject_of

if TYPE_CHECKING:
    from graftnet.tuning import TuneRequest

SHOWN = ("name", "study", "attribute", "settled", "wanted", "metric", "second", "front", "picked", "importances")


@dataclass(frozen=True)
class Tuned:
    """A study's folder, what its record says, and its report."""

    folder: Path
    study: dict[str, Any]
    report: Path

    def record(self) -> dict[str, Any]:
        """The main entries of study.json with the picked trial, and the paths."""
        shown = {key: self.study[key] for key in SHOWN if key in self.study}
        return {**shown, "trial": self.picked, "folder": str(self.folder), "report": str(self.report)}

    @property
    def picked(self) -> dict[str, Any] | None:
        """The picked trial; None while none is finished."""
        chosen = self.study["picked"]
        by_slot = {trial["trial"]: trial for trial in self.study["trials"]}
        return by_slot[chosen["trial"]] if chosen else None

    def text(self) -> str:
        """The picked trial, why it was picked, and what comes next."""
        study, picked = self.study, self.picked
        subject = subject_of(study)
        lines = [f"{study['name']}: {study['sentence']}"]
        if picked:
            lines.append("  " + ", ".join(f"{name} {value}" for name, value in picked["setting"].items()))
        lines += [f"  record {self.folder / 'study.json'}", f"  report {self.report}"]
        return "\n".join([*lines, *([f"Next: graftnet tune apply {subject}"] if picked else [])])


def tune_call(folder: Path | None, make: "Callable[[Path], TuneRequest]", *, workers: int) -> Tuned:
    """Tune, or continue, and write the report; make: the request, of the project's folder."""
    project = open_project(folder)
    request = make(project.folder)
    if request.attribute is not None:
        project.source(request.attribute)
    from graftnet.tuning import tune

    with show_progress() as progress:
        return tuned_in(tune(request, workers=workers, announce=announce, progress=progress))


def tuned_in(folder: Path) -> Tuned:
    """A study as its record says it is; its report is written."""
    from reports.study import write_study_report

    return Tuned(folder, read_study(folder), write_study_report(folder))


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


def study_lines(project: Project) -> tuple[list[dict[str, Any]], str]:
    """The project's studies, for --json and in words."""
    records = []
    for folder in all_studies(project):
        study = read_study(folder)
        head = {key: study[key] for key in ("name", "study", "attribute", "settled", "wanted", "storage", "created")}
        records.append({**head, "picked": study["picked"], "folder": str(folder)})
    if not records:
        return [], f"{studies_folder(project)} holds no study yet; run `graftnet tune depth ATTR`."
    width = max(len(str(one["name"])) for one in records)
    lines = [f"{one['name']:<{width}}  {one['settled']}/{one['wanted']} trials  {one['created']}" for one in records]
    return records, "\n".join(lines)
