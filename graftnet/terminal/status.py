"""Say what runs in a project: which command, how far, for how long, how to stop it; and what was left unfinished."""

import socket
import time
from pathlib import Path

from foundation.locks import Holder, holder_of
from graftnet.project.folder import Project
from graftnet.terminal.output import Answer, format_seconds

LOCKS = (".*.lock", "*/.*.lock", "*/*/.*.lock")  # below runs/; no cache lies so high


def status_call(project: Project) -> Answer:
    """What runs now, and what waits to be continued."""
    held = {
        lock: holder for pattern in LOCKS for lock in sorted(project.runs.glob(pattern)) if (holder := holder_of(lock))
    }
    now = time.time()
    by_process: dict[tuple[str, int], tuple[Holder, list[Path]]] = {}
    for lock, holder in held.items():
        # One process may hold several: the oldest says how long it runs.
        known, folders = by_process.setdefault((holder.host, holder.process), (holder, []))
        folders.append(folder_of(lock))
        if holder.since < known.since:
            by_process[holder.host, holder.process] = (holder, folders)
    running = [
        {
            "command": holder.command,
            "progress": holder.progress,
            "seconds": round(max(0.0, now - holder.since)),
            "host": holder.host,
            "process": holder.process,
            "folders": [str(folder) for folder in folders],
        }
        for holder, folders in by_process.values()
    ]
    busy = {folder_of(lock) for lock in held}
    waiting = [
        name
        for name in project.sources()
        if (begun := project.begun(name)) and not (begun[-1] / "result.json").is_file() and begun[-1] not in busy
    ]
    lines = [line for holder, folders in by_process.values() for line in running_lines(holder, folders, now)]
    if not running:
        lines.append(f"Nothing runs in {project.folder}.")
    lines += [f"Begun and not finished: {name}; `graftnet search {name}` continues it." for name in waiting]
    return Answer({"running": running, "unfinished": waiting}, "\n".join(lines))


def folder_of(lock: Path) -> Path:
    """The folder that a lock beside it is of."""
    return lock.with_name(lock.name.removeprefix(".").removesuffix(".lock"))


def running_lines(holder: Holder, folders: list[Path], now: float) -> list[str]:
    """One process: its command, how far it is, where it writes, and how to stop it."""
    here = holder.host == socket.gethostname()
    place = f"process {holder.process}" if here else f"process {holder.process} on {holder.host}"
    return [
        holder.command or "graftnet",
        f"  {holder.progress or 'no progress said yet'}; {format_seconds(now - holder.since)} so far",
        *(f"  writes {folder}" for folder in folders),
        f"  {place}; to stop it: kill {holder.process}{'' if here else ' there'}; the same command continues it",
    ]
