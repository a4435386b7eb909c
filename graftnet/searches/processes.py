"""The queue in processes of this machine: one or several attributes at a time, none can take another down.

Each worker takes one plan after another. It ends with its driver, however that ends, so that a command that was killed
can be called again at once.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext
from typing import TYPE_CHECKING, Any

from graftnet.project.machine import usable_cores

if TYPE_CHECKING:
    from foundation.history import Progress
    from graftnet.project.folder import Project
    from graftnet.searches.plan import SearchPlan
    from graftnet.searches.queue import Job, Message


@dataclass(frozen=True)
class Processes:
    """A :class:`graftnet.searches.queue.Place`: ``workers`` attributes at a time, in as many processes."""

    workers: int = 1

    def survey(self, project: "Project", *, seed: int, device: str, force: bool, progress: "Progress") -> "list[Job]":
        from graftnet.project.machine import choose_device
        from graftnet.searches.queue import survey

        return survey(project, seed=seed, device=choose_device(device), force=force, progress=progress)

    def run(self, plans: "Sequence[SearchPlan]", *, device: str, force: bool) -> "Generator[Message, None, None]":
        from graftnet.searches.queue import Outcome

        context = multiprocessing.get_context("spawn")
        threads = threads_for(min(self.workers, len(plans)))
        waiting, busy, idle = deque(plans), dict[Any, Worker](), list[Worker]()
        try:
            while waiting or busy:
                while waiting and len(busy) < self.workers:
                    worker = idle.pop() if idle else Worker(context, threads)
                    busy[worker.pipe] = worker
                    worker.give(waiting.popleft(), device, force)
                for pipe in wait(list(busy)):
                    message = busy[pipe].hear()
                    yield message
                    if isinstance(message, Outcome):
                        worker = busy.pop(pipe)
                        if worker.process.is_alive():
                            idle.append(worker)
                        else:
                            worker.stop()
        finally:
            for worker in [*busy.values(), *idle]:
                worker.stop()


def threads_for(workers: int) -> int | None:
    """Threads per worker: OMP_NUM_THREADS, or the cores shared out; None (torch decides) for one worker alone."""
    given = os.environ.get("OMP_NUM_THREADS", "").strip()
    if workers == 1 or given.isdecimal():
        return None
    return max(1, usable_cores() // workers)


class Worker:
    """A process that carries out plans, seen from the driver."""

    def __init__(self, context: SpawnContext, threads: int | None) -> None:
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=work_for_driver, args=(theirs, threads), daemon=True)
        self.process.start()
        # With our copy closed, the worker's death ends the pipe.
        theirs.close()
        self.attribute = ""

    def give(self, plan: "SearchPlan", device: str, force: bool) -> None:
        """Hand over the next plan; a worker that is dead already is heard of by :meth:`hear`."""
        self.attribute = plan.attribute
        try:
            self.pipe.send((plan, device, force))
        except OSError:
            return

    def hear(self) -> "Message":
        """The next message; a worker that died says so as the outcome of its attribute."""
        from graftnet.searches.queue import Outcome

        try:
            message: Message = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return Outcome(self.attribute, error=last_words(self.process.exitcode))
        return message

    def stop(self) -> None:
        """End it, whatever it is doing; what it has written is kept."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def last_words(code: int | None) -> str:
    """Why a process is gone, by its exit code."""
    if code == -signal.SIGKILL:
        return "Its process was killed, perhaps for lack of memory; call again to continue it."
    if code is not None and code < 0:
        return f"Its process crashed ({signal.Signals(-code).name}); call again to continue it."
    return f"Its process ended unexpectedly (exit code {code}); call again to continue it."


def work_for_driver(pipe: "Connection[Any, Any]", threads: int | None) -> None:
    """What a worker does until its driver is gone or ends it."""
    become_worker(threads)
    from graftnet.searches.queue import work

    while True:
        try:
            plan, device, force = pipe.recv()
        except EOFError:
            return
        pipe.send(work(plan, device=device, force=force, send=pipe.send))


def become_worker(threads: int | None) -> None:
    """Make this process one that ends with its driver, and computes with so many threads."""
    # Ctrl-C reaches every process of the terminal; the driver alone decides what happens then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_driver, daemon=True).start()
    if threads:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[name] = str(threads)


def end_with_driver() -> None:
    """Wait for the driver's end, and end too: an orphan would hold its attribute's lock."""
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)
