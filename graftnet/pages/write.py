"""Write the pages and files of `graftnet report`: check its options, find the searches, watch a running one."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from graftnet.errors import ConfigError
from graftnet.project.folder import Project
from reports import write_report

WATCH_EVERY = 5.0  # seconds
RECORDS = ("history.jsonl", "config.json", "architecture.json", "result.json")


@dataclass(frozen=True)
class Written:
    """What a call of `graftnet report` wrote: a page per attribute, the page over all of them, other files."""

    pages: dict[str, Path] = field(default_factory=dict)
    fleet: Path | None = None
    files: tuple[Path, ...] = ()

    def record(self) -> dict[str, object]:
        """Plain values for --json."""
        shown: dict[str, object] = {"reports": {name: str(page) for name, page in self.pages.items()}}
        if self.fleet:
            shown["fleet"] = str(self.fleet)
        if self.files:
            shown["files"] = [str(path) for path in self.files]
        return shown

    def text(self) -> str:
        """A line per page; where many files are, how many."""
        lines = [f"{name}: {page}" for name, page in self.pages.items()]
        if self.fleet:
            lines.append(f"all attributes: {self.fleet}")
        if self.files:
            lines.append(f"{len(self.files)} files in {common_folder(self.files)}")
        return "\n".join(lines) or "Nothing is searched yet; run `graftnet search --all`."


def common_folder(files: Iterable[Path]) -> Path:
    """The folder that all the files are in, or below."""
    folders = [file.parent for file in files]
    return next(
        folder for folder in (folders[0], *folders[0].parents) if all(each.is_relative_to(folder) for each in folders)
    )


def require_attribute(attribute: str | None, options: Mapping[str, object]) -> None:
    """Refuse options (those that are not None) of one attribute where none is named.

    Raises:
        ConfigError: the sentence says which.
    """
    given = [name for name, value in options.items() if value is not None]
    if given and attribute is None:
        raise ConfigError(f"{given[0]} is about one attribute; name it: graftnet report ATTR {given[0]}.")


def require_apart(options: Mapping[str, object]) -> None:
    """Refuse two of these options (those that are not None) together.

    Raises:
        ConfigError: the sentence names both.
    """
    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise ConfigError(f"{given[0]} and {given[1]} do not go together; give one of them.")


def require_with(option: str, given: bool, others: Mapping[str, object]) -> None:
    """Refuse the others (those that are not None) where the option they go with is not given.

    Raises:
        ConfigError: the sentence names both.
    """
    for name, value in others.items():
        if value is not None and not given:
            raise ConfigError(f"{name} goes with {option}; give both, or leave {name} out.")


def write_attribute(project: Project, attribute: str) -> Written:
    """The page and the model card of an attribute's latest search; those that are as its records stay as they are."""
    from graftnet.pages.fresh import write_if_changed

    return Written({attribute: write_if_changed(project.latest_search(attribute))})


def write_every(project: Project, *, check: bool = True) -> Written:
    """The page and the card of every attribute with a search, and the page over all attributes.

    check: whether to read the data to see which results are still current.
    """
    from graftnet.pages.fleet_record import searched, write_fleet_record
    from graftnet.terminal.output import show_progress
    from reports import write_fleet_report

    pages: dict[str, Path] = {}
    for name in searched(project):
        pages.update(write_attribute(project, name).pages)
    with show_progress() as progress:
        record = write_fleet_record(project, check=check, progress=progress)
    return Written(dict(sorted(pages.items())), write_fleet_report(record))


def write_watched(project: Project, attribute: str, *, every: float | None) -> Written:
    """The page of an attribute's running search, written until it is finished."""
    import typer

    from reports import write_card

    page = watch(project, attribute, every=every or WATCH_EVERY, say=lambda line: typer.echo(line, err=True))
    write_card(page.parent)
    return Written({attribute: page})


def write_compared(project: Project, attribute: str, names: tuple[str, str]) -> Written:
    """The page that compares two searches of an attribute, under ``runs/reports``."""
    from reports import write_comparison

    project.latest_search(attribute)
    before, after = (chosen_search(project, attribute, name) for name in names)
    if before.resolve() == after.resolve():
        raise ConfigError(f"--compare names the same search twice, {before}; name two of them.")
    page = project.reports / f"compare-{attribute}-{before.name}-{after.name}.html"
    return Written({attribute: write_comparison(before, after, page)})


def with_files(written: Written, folder: Path, formats: Sequence[str] | None, width: int | None) -> Written:
    """The same pages, and their tables and figures as files: of one attribute in ``folder``, of all in folders of it.

    Raises:
        ReportError: a format or a width that there is not, or nothing can be written there.
    """
    from reports.files import FORMATS, WIDTH, write_files, write_fleet_files

    how: dict[str, Any] = {"formats": tuple(formats or FORMATS), "width": WIDTH if width is None else width}
    files: list[Path] = []
    if written.fleet:
        files += write_fleet_files(written.fleet.with_suffix(".json"), folder, **how)
    for name, page in written.pages.items():
        files += write_files(page.parent, folder / name if written.fleet else folder, **how)
    return replace(written, files=tuple(files))


def chosen_search(project: Project, attribute: str, named: str) -> Path:
    """The search that ``--compare`` names: ``latest``, ``previous``, the beginning of an id, or a folder.

    Raises:
        ConfigError: there is none of this name, or several begin so.
    """
    results = project.results(attribute)
    positions = {"latest": -1, "previous": -2}
    if named in positions:
        if len(results) < -positions[named]:
            have = "only one finished search" if results else "no finished search"
            raise ConfigError(f"{attribute} has {have}, so there is no {named} one; `graftnet search {attribute}`.")
        return results[positions[named]]
    if (Path(named) / "result.json").is_file() or (Path(named) / "history.jsonl").is_file():
        return Path(named)
    every = sorted(path for path in project.searches(attribute).glob("*") if path.is_dir())
    matches = [path for path in every if path.name.startswith(named)]
    if len(matches) != 1:
        what = "several searches that begin with" if matches else "no search"
        known = ", ".join(path.name for path in every if not path.name.startswith(".")) or "none"
        raise ConfigError(
            f"{attribute} has {what} {named!r}; there are {known}; name one of them, `previous`, `latest` or a folder."
        )
    return matches[0]


def watch(
    project: Project,
    attribute: str,
    *,
    every: float,
    say: Callable[[str], None],
    wait: Callable[[float], None] = time.sleep,
) -> Path:
    """Write the report of the attribute's newest search until it is finished; one that has not begun is waited for.

    While it runs, the page asks the browser to load it again every so many seconds; in the end it does not, however
    this ends. The page is there whole or not at all at any moment.

    Args:
        every: seconds between two looks at the records. say: hears where the page is. wait: sleeps.

    Raises:
        ConfigError: there is no such attribute.
    """
    project.source(attribute)
    if newest_begun(project, attribute) is None:
        say(f"The search of {attribute} has not begun; waiting for it.")
    while (folder := newest_begun(project, attribute)) is None:
        wait(every)
    seen: tuple[object, ...] = ()
    page = folder / "report.html"
    say(f"Watching {folder}; open {page}")
    finished = False
    try:
        while not finished:
            finished, now = (folder / "result.json").exists(), stamps(folder)
            if now != seen:
                page = write_report(folder, refresh=None if finished else every)
                seen = now
            if not finished:
                wait(every)
    finally:
        if not finished:
            write_report(folder)
    return page


def newest_begun(project: Project, attribute: str) -> Path | None:
    """The search of an attribute that was begun or continued last, finished or not."""
    begun = project.begun(attribute)
    return begun[-1] if begun else None


def stamps(folder: Path) -> tuple[object, ...]:
    """What changes when a record arrives: sizes and times of the files that the page is made from."""
    states: list[object] = []
    for name in RECORDS:
        try:
            state = (folder / name).stat()
        except FileNotFoundError:
            states.append(None)
        else:
            states.append((state.st_size, state.st_mtime_ns))
    return tuple(states)
