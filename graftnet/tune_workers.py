"""Several processes of this machine at work on one study; one that dies leaves its trial to the others."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from graftnet.errors import ConfigError
from graftnet.processes import end_with_driver, last_words, threads_for

if TYPE_CHECKING:
    from graftnet.tuning import TuneRequest

LOOK = 0.5  # seconds between two looks at the storage


def run_workers(
    request: "TuneRequest", workers: int, *, count: Callable[[], int], settled: Callable[[int], None]
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
            process = context.Process(target=serve, args=(request, theirs, threads), daemon=True)
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


def serve(request: "TuneRequest", pipe: "Connection[Any, Any]", threads: int | None) -> None:
    """What a worker does: plan the same study and work on it; its last word is what went wrong, or nothing."""
    # Ctrl-C reaches every process of the terminal; the driver alone decides what happens then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_driver, daemon=True).start()
    if threads:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[name] = str(threads)
    from graftnet.failures import explain
    from graftnet.tuning import plan_study
    from nas.tuning import open_study, run_study
    from nas.tuning_storage import open_storage

    try:
        plan = plan_study(request)
        objective = plan.make(None, None)
        study = open_study(open_storage(plan.url), plan.name, objective, seed=plan.seed)
        run_study(study, objective, trials=request.trials, seed=plan.seed)
    except Exception as error:
        pipe.send(explain(error)[0])
    else:
        pipe.send("")
