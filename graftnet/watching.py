"""`graftnet report ATTR --watch`: the page of a running search, written again as its records arrive."""

import time
from collections.abc import Callable
from pathlib import Path

from graftnet.project import Project, by_age
from reports import write_report

FILES = ("history.jsonl", "config.json", "architecture.json", "result.json")


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
    """The search of an attribute that wrote a record last, finished or not."""
    begun = by_age(project.searches(attribute).glob("*/history.jsonl"))
    return begun[-1] if begun else None


def stamps(folder: Path) -> tuple[object, ...]:
    """What changes when a record arrives: sizes and times of the files that the page is made from."""
    found: list[object] = []
    for name in FILES:
        try:
            state = (folder / name).stat()
        except FileNotFoundError:
            found.append(None)
        else:
            found.append((state.st_size, state.st_mtime_ns))
    return tuple(found)
