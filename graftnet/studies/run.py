"""Run a study: plan it, work on it in one process or several, write it down, and say what it found."""

import multiprocessing
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from foundation.files import write_json
from foundation.history import Progress
from foundation.provenance import machine, this_command, timestamp, versions
from graftnet.errors import ConfigError
from graftnet.project.folder import Project, open_project
from graftnet.project.machine import choose_device
from graftnet.project.settings import seed_or
from graftnet.searches.processes import become_worker, last_words, threads_for
from graftnet.studies.plan import StudyPlan, TuneRequest
from graftnet.studies.records import RECORD, all_studies, read_study, studies_folder, subject_of
from graftnet.terminal.output import Answer, announce, show_progress, text_table
from nas.tuning.records import study_record
from nas.tuning.storage import open_storage, shown_url
from nas.tuning.study import Objective, open_study, run_study, settled_count

if TYPE_CHECKING:
    import optuna

    from graftnet.searches.features import Announce


LOOK = 0.5  # seconds between two looks at the storage

SHOWN = ("name", "study", "attribute", "settled", "wanted", "metric", "second", "front", "picked", "importances")


def tune_call(folder: Path | None, kind: str, attribute: str | None = None, *, workers: int, **options: Any) -> Answer:
    """Tune, or continue, and write the report; ``options``: further fields of the :class:`TuneRequest`."""
    project = open_project(folder)
    request = TuneRequest(project.folder, kind, attribute, **options)
    if request.attribute is not None:
        project.source(request.attribute)

    def say(sentence: str) -> None:
        typer.echo(sentence, err=True)

    with show_progress() as progress:
        return tuned_in(tune(request, workers=workers, announce=announce, say=say, progress=progress))


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
        depths = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--depths must be whole numbers with commas between them, as 3,4,5, is {text!r}.") from None
    return depths


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
    rows = [(record["name"], f"{record['settled']}/{record['wanted']} trials", record["created"]) for record in records]
    return Answer({"studies": records}, "\n".join(text_table(rows)))


def plan_study(request: TuneRequest) -> StudyPlan:
    """Read what a study is about; nothing is trained, and no image passes the trunk.

    Raises:
        ConfigError, DataError, TrunkError, SearchError, LabelGraphError: something that it needs cannot be used.
    """
    project = open_project(request.project)
    seed, device = seed_or(request.seed, project), choose_device(request.device)
    if request.kind == "depth":
        from graftnet.studies.depth import plan_depth

        return plan_depth(request, project, seed=seed, device=device)
    from graftnet.studies.gcn import plan_gcn

    return plan_gcn(request, project, seed=seed, device=device)


def tune(
    request: TuneRequest,
    *,
    workers: int = 1,
    announce: "Announce | None" = None,
    say: Callable[[str], None] = lambda sentence: None,
    progress: Progress | None = None,
) -> Path:
    """Work on a study until it has its trials, or continue it; returns its folder with ``study.json``.

    workers: so many processes, where more than one. say: hears, before trials begin, of values with too few images.
    """
    plan = plan_study(request)
    storage = open_storage(plan.url)
    objective = plan.make(announce, progress)
    study = open_study(storage, plan.name, objective, seed=plan.seed)
    if plan.few_sentence and settled_count(study, request.trials) < request.trials:
        say(plan.few_sentence)
    note = Notes(plan, study, objective, progress)
    if workers == 1:
        run_study(study, objective, trials=request.trials, seed=plan.seed, settled=note)
    else:
        run_workers(request, workers, count=lambda: settled_count(study, request.trials), settled=note)
    note.write(whole=True)
    return plan.folder


class Notes:
    """Writes the study's record as trials are settled, and shows how far it is."""

    def __init__(self, plan: StudyPlan, study: "optuna.Study", objective: Objective, progress: Progress | None) -> None:
        self.plan, self.study, self.objective, self.progress = plan, study, objective, progress
        self.count = -1

    def __call__(self, settled: int) -> None:
        """Hear that so many trials are settled."""
        if settled == self.count:
            return
        self.count = settled
        record = self.write()
        if self.progress:
            scores = [trial["score"] for trial in record["trials"] if trial["score"] is not None]
            figures = {f"best_{self.plan.metric}": max(scores)} if scores else {}
            self.progress("trials", min(settled, record["wanted"]), record["wanted"], figures)

    def write(self, *, whole: bool = False) -> dict[str, Any]:
        """Write ``study.json``; whole: with the importances of the knobs."""
        plan, request = self.plan, self.plan.request
        figures = study_record(
            self.study,
            total=request.trials,
            seed=plan.seed,
            metric=plan.metric,
            second=plan.second,
            rule=request.rule,
            tolerance=request.tolerance,
            whole=whole,
        )
        record = {
            "study": request.kind,
            "attribute": request.attribute,
            "name": plan.name,
            "storage": shown_url(plan.url),
            "seed": plan.seed,
            **plan.about,
            "knobs": [knob.to_json() for knob in self.objective.knobs],
            **figures,
            "command": request.command or this_command(),
            "versions": versions(),
            "machine": machine(choose_device(request.device)),
            "created": timestamp(),
        }
        write_json(plan.folder / RECORD, record)
        return record


def run_workers(
    request: TuneRequest, workers: int, *, count: Callable[[], int], settled: Callable[[int], None]
) -> None:
    """Let so many processes work on a study until it is settled.

    Args:
        count: how many trials are settled. settled: hears that number now and then.

    Raises:
        ConfigError: every worker ended before that; the first one's reason.
    """
    context = multiprocessing.get_context("spawn")
    threads = threads_for(workers)
    pipes: list[Connection] = []
    processes = []
    try:
        for _ in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=work_for_driver, args=(request, theirs, threads), daemon=True)
            process.start()
            theirs.close()
            pipes.append(ours)
            processes.append(process)
        while any(process.is_alive() for process in processes):
            settled(count())
            time.sleep(LOOK)
        settled(done := count())
        reasons = [words(pipe, process.exitcode) for pipe, process in zip(pipes, processes, strict=True)]
    finally:
        for process in processes:
            process.kill()
            process.join()
    failed = [reason for reason in reasons if reason]
    for reason in failed:
        sys.stderr.write(f"A worker ended early: {reason}\n")
    if done < request.trials:
        raise ConfigError(failed[0] if failed else "The workers ended before the study did; call again to continue it.")


def words(pipe: "Connection[Any, Any]", code: int | None) -> str:
    """Why a worker ended; empty where its work was done."""
    try:
        said: str = pipe.recv()
    except (EOFError, OSError):
        return last_words(code)
    return said


def work_for_driver(request: TuneRequest, pipe: "Connection[Any, Any]", threads: int | None) -> None:
    """What a worker does: plan the same study and work on it; its last word is what went wrong, or nothing."""
    become_worker(threads)
    from graftnet.terminal.failures import explain

    try:
        plan = plan_study(request)
        objective = plan.make(None, None)
        study = open_study(open_storage(plan.url), plan.name, objective, seed=plan.seed)
        run_study(study, objective, trials=request.trials, seed=plan.seed)
    except Exception as error:
        pipe.send(explain(error)[0])
    else:
        pipe.send("")
