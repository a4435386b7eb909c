"""The answer of a search that is current, found without torch and without reading an image.

Beside an answer stands what it was decided from: the call, the configuration, and the stamps (size, times, inode) of
every image, table, record and file of code. While none of them changes, the answer is what deciding anew would find;
where anything differs, or cannot be told, it is decided anew.
"""

import contextlib
import hashlib
import json
import os
import platform
import time
import zlib
from array import array
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from foundation.files import write_bytes
from foundation.records import inside
from graftnet.project.config import project_of
from subdatasets.files.stamps import ABSENT, settled, stamp_of
from subdatasets.files.store import on_disk

if TYPE_CHECKING:
    from graftnet.project.folder import Project
    from graftnet.searches.plan import SearchPlan

FOLDER = "standing"  # below runs: a file for each attribute
LARGEST = 2**31  # bytes of the names of an attribute's files
# What `--device auto` depends on, as far as it can be seen without torch.
_GPUS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
_GPU_WORDS = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
_CODE = ("foundation", "subdatasets", "trunk", "search_spaces", "branches", "label_graph", "nas", "reports", "graftnet")


class Call(NamedTuple):
    """What a call asks for, beside the project's configuration."""

    attribute: str
    seed: int
    device: str


class Current(NamedTuple):
    """The folder of a search that is current, and its page."""

    folder: Path
    page: Path


def recall(project: "Project", call: Call) -> Current | None:
    """The current search of an attribute, where nothing has changed since it was found to be current; else None."""
    try:
        head, _, packed = _file(project, call.attribute).read_bytes().partition(b"\n")
        record = json.loads(head)
        names = zlib.decompressobj().decompress(packed, LARGEST).decode("utf-8", "surrogateescape")
        if record["digest"] != _digest(project, call, names.split("\0")):
            return None
        folder = inside(project.searches(call.attribute), str(record["search"]))
    except Exception:  # whatever is wrong with it, it is decided anew
        return None
    found = Current(folder, folder / "report.html")
    return found if (folder / "result.json").is_file() and found.page.is_file() else None


def remember(project: "Project", call: Call, plan: "SearchPlan", folder: Path, page: Path) -> None:
    """Note that a finished search, the attribute's newest, is what this call asks for.

    Nothing is noted where there is more to say than the answer, or where an image may still change unseen.
    """
    finished = project.results(call.attribute)
    if plan.advised_otherwise or not finished or finished[-1] != folder or page != folder / "report.html":
        return
    looked = time.time_ns()
    images = plan.subdataset.columns.texts()
    shards = {os.path.dirname(path): on_disk(path) for path in images if not os.path.isfile(path)}
    if None in shards.values():  # objects of a store
        return
    files = dict.fromkeys(shards.get(os.path.dirname(path)) or path for path in images)
    theirs = list(_of_user(plan.subdataset.source))
    names = list(dict.fromkeys([*_ours(project, folder), *theirs, *files]))
    stamps = [*map(stamp_of, files), *(stamp for stamp in map(stamp_of, theirs) if stamp != ABSENT)]
    if ABSENT in stamps or not all(settled(stamp, looked) for stamp in stamps):
        return
    record = {"search": folder.name, "digest": _digest(project, call, names)}
    packed = zlib.compress("\0".join(names).encode("utf-8", "surrogateescape"), 1)
    with contextlib.suppress(Exception):  # where nothing can be written, it is decided anew each time
        write_bytes(_file(project, call.attribute), json.dumps(record).encode() + b"\n" + packed, durable=False)


def _file(project: "Project", attribute: str) -> Path:
    return inside(project.runs, FOLDER, attribute)


def _digest(project: "Project", call: Call, names: Sequence[str]) -> str:
    """What the answer was decided from, as a hash."""
    config = project_of(project, call.attribute).config
    told = [*call, config.model_dump_json(), sorted(project.sources()), str(project.folder), *_machine()]
    stamps = array("q")
    for path in _code():
        stamps.extend(stamp_of(path))
    for path in names:
        stamps.extend(stamp_of(path))
    digest = hashlib.sha256(json.dumps(told).encode())
    digest.update("\0".join(names).encode("utf-8", "surrogateescape"))
    digest.update(stamps.tobytes())
    return digest.hexdigest()


def _machine() -> list[Any]:
    gpus = [path for path in _GPUS if os.path.exists(path)]
    return [platform.node() if gpus else "", platform.python_version(), gpus, *map(os.environ.get, _GPU_WORDS)]


def _code() -> Iterator[str]:
    """The files that decide: ours, and those that say which torch there is."""
    home = Path(__file__).parents[2]
    for room in _CODE:
        for folder, _, files in sorted(os.walk(home / room)):
            yield from (os.path.join(folder, name) for name in sorted(files) if name.endswith(".py"))
    for package in ("torch", "torchvision", "timm"):
        spec = find_spec(package)
        if spec and spec.origin:
            yield os.path.join(os.path.dirname(spec.origin), "version.py")


def _of_user(source: Path) -> Iterator[str]:
    """The sub-dataset, but for its images: a table and the record beside it, or every folder in a folder."""
    from subdatasets.reading.record import record_path

    yield str(source)
    yield str(record_path(source))
    if source.is_dir():
        for folder, folders, _ in os.walk(source, followlinks=True):
            yield from (os.path.join(folder, name) for name in folders)


def _ours(project: "Project", search: Path) -> Iterator[str]:
    """What the toolkit has written: trunk, probes, splits, and the searches of the attribute; of this one all files."""
    yield str(project.current_trunk_file)
    yield from _below(project.current_trunk)
    yield str(project.runs / "splits" / f"{search.parent.name}.json")
    yield from _below(project.runs / "probes")
    yield str(search.parent)
    for folder in sorted(search.parent.iterdir()):
        yield str(folder)
        yield from (str(folder / name) for name in ("config.json", "result.json", "history.jsonl"))
    yield from _below(search)


def _below(folder: Path) -> Iterator[str]:
    yield str(folder)
    for place, folders, files in sorted(os.walk(folder)):
        yield from (os.path.join(place, name) for name in sorted([*folders, *files]))
