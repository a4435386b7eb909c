"""The bundle that is served, exchanged when the one on disk changes and is good.

A change is acted upon when the folder looks the same at two looks in a row, so that a copy under way is left alone. A
new bundle is loaded whole beside the old one, and verified; requests that began on the old one end on it. A bad one is
refused, once, and the old one stays until the folder changes again. A file of rules (`also`) is watched with it.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deployment.errors import BundleError
from deployment.serve.loading import LoadedBundle
from deployment.serve.metrics import Metrics

Signature = tuple[tuple[str, int, int, int], ...]
logger = logging.getLogger("graftnet.serve")


class Reloader:
    """`current` is what requests are answered with; `refused` what keeps the bundle on disk from taking its place.

    Raises: BundleError when the first bundle cannot be served.
    """

    def __init__(
        self, folder: Path, load: Callable[[Path], LoadedBundle], metrics: Metrics, *, also: Path | None = None
    ) -> None:
        self.folder = folder
        self.also = also
        self.load = load
        self.metrics = metrics
        self._tried = self._seen = signature(folder, also)
        self.current = load(folder)
        self.refused: dict[str, Any] | None = None
        metrics.attributes.set(len(self.current.attributes))

    def look(self) -> None:
        """One look at the folder, and what follows from it; takes as long as loading does."""
        now = signature(self.folder, self.also)
        settled, self._seen = now == self._seen, now
        if now == self._tried or not settled:
            return
        try:
            fresh = self.load(self.folder)
            if signature(self.folder, self.also) != now:
                return  # changed while it was read: look again
        except BundleError as error:
            self.refused = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "problem": str(error)}
            self.metrics.reloads.labels("refused").inc()
            self.metrics.bundle_refused.set(1)
            logger.warning("the changed bundle is refused, the old one stays: %s", error)
        else:
            self.current, self.refused = fresh, None
            self.metrics.reloads.labels("loaded").inc()
            self.metrics.bundle_refused.set(0)
            self.metrics.attributes.set(len(fresh.attributes))
            logger.warning("serving the changed bundle: %s", ", ".join(fresh.attributes))
        self._tried = now

    async def watch(self, poll: float) -> None:
        """Look every `poll` seconds, in a thread, until cancelled."""
        while True:
            await asyncio.sleep(poll)
            try:
                await asyncio.to_thread(self.look)
            except Exception:  # a disk that fails for a moment must not end the watch
                logger.exception("the bundle could not be looked at")


def signature(folder: Path, also: Path | None = None) -> Signature:
    """What tells two states of a folder, and a file beside it, apart without reading them.

    (path, size, mtime in ns, inode) of every file.
    """
    paths = [os.path.join(above, name) for above, _, names in os.walk(folder) for name in names]
    found = []
    for path in [*paths, *([str(also)] if also else [])]:
        try:
            stat = os.stat(path)
        except FileNotFoundError:
            continue  # renamed away between two calls; the next look sees what came instead
        found.append((path, stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return tuple(sorted(found))
