"""The queue on a Ray cluster: one task per attribute, which another worker takes over when the first one dies.

Every node sees the project's folder under the same path: there the features lie, and the checkpoints from which a task
that was taken over continues. Planning and features are a task too, with the same needs, so that the driver's machine
needs no GPU.
"""

import logging
import os
import socket
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import ray
import torch
import typer
from ray.exceptions import RayError

from foundation.history import Progress
from foundation.provenance import this_command
from graftnet.errors import ConfigError
from graftnet.project.folder import Project
from graftnet.project.machine import choose_device, usable_cores
from graftnet.searches.plan import SearchPlan
from graftnet.searches.queue import Began, Job, Message, Outcome, Step, survey, work
from graftnet.terminal.failures import is_user_error

RETRIES = 3  # times that a task whose worker died is given to another one
LOCK_PATIENCE = 150.0  # seconds; a file server gives a dead machine's lock back after 90 (NFSv4)
POLL = 0.3  # seconds
CONNECT = 10.0  # seconds
OBJECT_STORE = 512 * 2**20  # bytes; plans are all that travels


@contextmanager
def open_ray(address: str | None, *, cpus: float, gpus: float | None, device: str) -> Iterator["RayCluster"]:
    """Join the cluster at ``address``, or without one start a cluster of this machine alone, for the time of the block.

    Args:
        cpus, gpus: what one attribute needs; gpus None is one with ``--device cuda``, or where the cluster has any.

    Raises:
        ConfigError: there is no cluster at the address, or the machine lacks what one attribute needs.
    """
    # Nothing is sent to Ray's makers; and the device is chosen below, not by hiding GPUs.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address not in (None, "auto"):
        check_address(str(address))
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is None:
            ray.init(
                "local",
                num_cpus=usable_cores(),
                object_store_memory=OBJECT_STORE,
                include_dashboard=False,
                **quiet,
            )
        else:
            ray.init(address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"answers at {address}" if address else "can be started here"
        hint = "; a cluster that was started with a token needs RAY_AUTH_MODE=token here too" if address else ""
        raise ConfigError(f"No Ray cluster {where} ({first_line(error)}){hint}.") from error
    try:
        if gpus is None:
            gpus = float(device.startswith("cuda") or (device == "auto" and ray.cluster_resources().get("GPU", 0) >= 1))
        if not fits(cpus, gpus):
            needs = f"One attribute is to have {cpus:g} CPUs and {gpus:g} GPUs (--cpus, --gpus), more than"
            if address is None:
                raise ConfigError(f"{needs} this machine has; ask for less, or give --address.")
            typer.echo(f"{needs} any node of the cluster has; waiting for one that joins.", err=True)
        # The board takes no CPU from the searches, and moves when its node dies.
        board = ray.remote(num_cpus=0, max_restarts=-1)(Board).remote()
        yield RayCluster(cpus, gpus, board)
    finally:
        # Of a cluster that runs elsewhere, this ends only what this command started.
        ray.shutdown()


def check_address(address: str) -> None:
    """Raise ConfigError where nothing listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise ConfigError(
            f"--address must be auto or HOST:PORT, is {address!r}; call on a machine of the cluster's network."
        )
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"No Ray cluster answers at {address} ({error}); start one with `ray start --head`, or leave --address out."
        ) from error


def fits(cpus: float, gpus: float) -> bool:
    """Whether some node is large enough for one attribute."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in nodes)


class Board:
    """An actor to which tasks report, and from which the driver reads."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def post(self, message: Message) -> None:
        self.messages.append(message)

    def read(self) -> list[Message]:
        """What was posted since the last call."""
        messages, self.messages = self.messages, []
        return messages


@dataclass(frozen=True)
class RayCluster:
    """A `graftnet.searches.queue.Place`; a task gets ``cpus`` CPUs and ``gpus`` GPUs, and reports to ``board``."""

    cpus: float
    gpus: float
    board: Any

    def task(self, function: Any) -> Any:
        return ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=RETRIES)(function)

    def device(self, wanted: str) -> str:
        """``auto`` is what a task is given: a GPU, or none."""
        return ("cuda" if self.gpus else "cpu") if wanted == "auto" else wanted

    def survey(self, project: Project, *, seed: int, device: str, force: bool, progress: Progress) -> list[Job]:
        task = self.task(survey_task).remote(project, seed, self.device(device), force, int(self.cpus), self.board)
        for message in follow({task: ""}, self.board):
            if isinstance(message, Step):
                progress(message.stage, message.done, message.total, message.figures)
            elif isinstance(message, Outcome):
                raise ConfigError(f"Planning and features failed on the cluster. {message.error}")
        jobs: list[Job] | Exception = ray.get(task)
        if isinstance(jobs, Exception):
            raise jobs
        command = this_command()
        return [replace(job, plan=replace(job.plan, command=command)) if job.plan else job for job in jobs]

    def run(self, plans: Sequence[SearchPlan], *, device: str, force: bool) -> Generator[Message, None, None]:
        task = self.task(search_task)
        tasks = {
            task.options(name=f"search {plan.attribute}").remote(
                plan, self.device(device), force, int(self.cpus), self.board
            ): plan.attribute
            for plan in plans
        }
        yield from follow(tasks, self.board)


def follow(tasks: dict[Any, str], board: Any) -> Iterator[Message]:
    """What tasks (reference -> attribute) report, until the last of them has ended; a task's outcome comes last."""
    waiting = dict(tasks)
    while waiting:
        done, _ = ray.wait(list(waiting), timeout=POLL)
        yield from read(board)
        for reference in done:
            attribute = waiting.pop(reference)
            try:
                result = ray.get(reference)
            except RayError as error:
                why = f"{type(error).__name__}: {first_line(error)}"
                yield Outcome(
                    attribute, error=f"Its workers died {RETRIES + 1} times ({why}); call again to continue it."
                )
            else:
                if isinstance(result, Outcome):
                    yield result


def read(board: Any) -> list[Message]:
    """The board's new messages; none while it moves off a node that died."""
    try:
        messages: list[Message] = ray.get(board.read.remote(), timeout=10)
    except RayError:
        return []
    return messages


def survey_task(
    project: Project, seed: int, device: str, force: bool, threads: int, board: Any
) -> list[Job] | Exception:
    """Planning and features, on a worker; a user's mistake is handed back as a value, without Ray's traceback."""
    torch.set_num_threads(max(1, threads))

    def progress(stage: str, done: int, total: int, figures: Any) -> None:
        board.post.remote(Step("", stage, done, total, dict(figures)))

    try:
        return survey(project, seed=seed, device=choose_device(device), force=force, progress=progress)
    except Exception as error:
        if is_user_error(error):
            return error
        raise


def search_task(plan: SearchPlan, device: str, force: bool, threads: int, board: Any) -> Outcome:
    """One attribute, on a worker; a second worker finds the first one's checkpoints in the search's folder."""
    torch.set_num_threads(max(1, threads))
    board.post.remote(Began(plan.attribute, f"{ray.util.get_node_ip_address()}, process {os.getpid()}"))
    return work(plan, device=device, force=force, send=board.post.remote, patience=LOCK_PATIENCE)


def first_line(error: Exception) -> str:
    """Ray's messages run over many lines."""
    return (str(error).strip().splitlines() or [""])[0].rstrip(".")
