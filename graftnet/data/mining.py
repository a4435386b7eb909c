"""Hard negatives of a project's attribute: embed, mine, and write a new sub-dataset with its provenance and report."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from foundation.files import described_file, read_json_if_whole, set_aside, write_json
from foundation.history import Progress
from foundation.provenance import this_command, timestamp
from graftnet.errors import ConfigError
from graftnet.project.folder import Project
from graftnet.searches.features import cache_of
from graftnet.trunks.versions import open_trunk
from nas.job.pictures import small_picture
from subdatasets.attribute import Attribute
from subdatasets.image_files import content_hashes
from subdatasets.mining import Cluster, MiningSettings, described, kept_number, mine, positive_of, thinned
from subdatasets.subdataset import Example, SubDataset, csv_bytes, read_subdataset, write_subdataset
from trunk.features.source import averaged
from trunk.trunk import Trunk

if TYPE_CHECKING:
    from reports.mining import Strip


EXAMPLES = 10  # pictures of a group

THUMBNAIL = 72  # pixels


@dataclass(frozen=True)
class MiningChoices:
    """What a call of `graftnet data mine` decides; None leaves it to the data.

    keep: below 1 a share of the train negatives, else their number. positive: the positive value, by default the last
    of two. name: of the new attribute. depth: blocks that embed, by default all of the backbone. replace: a mined
    sub-dataset that was changed by hand, which is kept under a dated name.
    """

    keep: float = 0.5
    clusters: int = 10
    close_share: float = 0.5
    positive: str | None = None
    name: str | None = None
    depth: int | None = None
    replace: bool = False


@dataclass(frozen=True)
class Mined:
    """The new sub-dataset, its provenance (what ``NAME.mining.json`` holds), and the report."""

    subdataset: SubDataset
    record: dict[str, Any]
    report: Path


def mine_attribute(
    project: Project,
    attribute: str,
    choices: MiningChoices,
    *,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
) -> Mined:
    """Write ``data/NAME.csv``: all positives, the mined train negatives, val and test as they are.

    Raises:
        ConfigError: the name is taken by something that was not mined. DataError: the sub-dataset cannot be mined so.
    """
    source = read_subdataset(project.source(attribute), seed=project.config.project.seed)
    target = target_of(project, attribute, choices.name or f"{attribute}-mined", replace=choices.replace)
    positive = positive_of(source, choices.positive)
    trunk = open_trunk(project, device)
    depth = len(trunk.chain) if choices.depth is None else trunk.check_depth(choices.depth)
    train = source.split("train")
    hashes = content_hashes([example.path for example in source.examples])
    embedded = embeddings(project, trunk, [hashes[one.path] for one in train], hashes, depth, progress)
    is_positive = np.array([example.value == positive for example in train])
    negatives = [example for example in train if example.value != positive]
    settings = MiningSettings(kept_number(choices.keep, len(negatives)), choices.clusters, choices.close_share)
    clusters = mine(embedded[is_positive], embedded[~is_positive], settings, seed=seed)
    mined = thinned(source, negatives, clusters, target)
    record = {
        "attribute": mined.attribute.name,
        "mined_from": attribute,
        "source": str(source.source),
        "source_digest": source.digest(hashes),
        "digest": mined.digest(hashes),
        "csv_sha256": hashlib.sha256(csv_bytes(mined, target.parent)).hexdigest(),
        "positive": source.attribute.values[positive],
        "positives": int(is_positive.sum()),
        "negatives": len(negatives),
        "kept": settings.keep,
        "settings": asdict(settings),
        "seed": seed,
        "fingerprint": trunk.fingerprint,
        "depth": depth,
        "counts": mined.counts(),
        "clusters": [described(cluster, negatives, source.attribute.values) for cluster in clusters],
        "command": this_command(),
        "created": timestamp(),
    }
    write_json(project.mined(mined.attribute.name), record)
    write_subdataset(mined, target)
    from reports.mining import write_mining_report

    strips = strips_of([example for example in train if example.value == positive], negatives, clusters)
    report = write_mining_report(record, strips, project.reports / f"mining-{mined.attribute.name}.html")
    return Mined(mined, record, report)


def target_of(project: Project, attribute: str, name: str, *, replace: bool = False) -> Path:
    """The CSV of the new sub-dataset; one that was mined before may be mined again.

    Raises:
        ConfigError: it would take the place of something else.
    """
    Attribute(name, ("no", "yes"))  # an unusable name is refused before anything is computed
    target = project.data / f"{name}.csv"
    known = project.sources().get(name)
    again = known == target and project.mined(name).exists()
    if name == attribute or (known is not None and not again):
        raise ConfigError(f"{name} has a sub-dataset already, {known}; choose another --name for the mined one.")
    written = read_json_if_whole(project.mined(name)).get("csv_sha256")
    if again and hashlib.sha256(target.read_bytes()).hexdigest() != written:
        if not replace:
            raise ConfigError(
                f"{target} was changed since it was mined ({described_file(target)}); choose another --name, or add "
                "--replace, which keeps it under a dated name."
            )
        set_aside(target)
    return target


def embeddings(
    project: Project,
    trunk: Trunk,
    contents: Sequence[str],
    hashes: dict[Path, str],
    depth: int,
    progress: Progress | None,
) -> npt.NDArray[np.float32]:
    """The globally averaged features after ``depth`` blocks, (N, channels), through the project's cache.

    They are cached as float16 whatever `features.storage` says: distances are of the trunk's own channels.
    """
    cache = cache_of(project.uncompressed, trunk)
    paths = {content: path for path, content in hashes.items()}
    cache.fill({content: paths[content] for content in contents}, [depth], progress=progress)
    found: npt.NDArray[np.float32] = averaged(cache.open(contents, depth)).numpy()
    return found


def strips_of(positives: Sequence[Example], negatives: Sequence[Example], clusters: Sequence[Cluster]) -> "list[Strip]":
    """The first positives, then what is kept and what is removed of each cluster."""
    from reports.mining import Strip

    strips = [Strip("Positives", "", thumbnails(positives))]
    for number, cluster in enumerate(clusters, 1):
        for verb, members in parted(cluster):
            if members:
                note = f"{len(members):,} images, those nearest to the cluster's centre first"
                chosen = [negatives[row] for row in members]
                strips.append(Strip(f"Cluster {number}, {verb}", note, thumbnails(chosen)))
    return strips


def parted(cluster: Cluster) -> list[tuple[str, list[int]]]:
    """A cluster's rows that are kept and that are removed, those nearest to its centre first."""
    kept = set(cluster.kept)
    return [
        ("kept", [row for row in cluster.members if row in kept]),
        ("removed", [row for row in cluster.members if row not in kept]),
    ]


def thumbnails(examples: Sequence[Example]) -> tuple[str, ...]:
    """Small pictures of the first of these examples, as data URLs."""
    return tuple(small_picture(example.path, THUMBNAIL, quality=80) for example in examples[:EXAMPLES])


def mining_lines(mined: Mined) -> list[str]:
    """What was kept, a line per cluster, for a person."""
    record = mined.record
    lines = [
        f"{record['attribute']}: {record['kept']:,} of {record['negatives']:,} train negatives kept, beside "
        f"{record['positives']:,} positives ({mined.subdataset.source})",
        "  cluster  distance  similarity  images    kept",
    ]
    for number, cluster in enumerate(record["clusters"], 1):
        how = "whole" if cluster["close"] else "thinned"
        lines.append(
            f"  {number:>7}  {cluster['distance']:>8.3f}  {cluster['similarity']:>10.3f}  {cluster['size']:>6,}  "
            f"{cluster['kept']:>6,}  {how}"
        )
    return [*lines, f"  report {mined.report}", f"Next: graftnet search {record['attribute']}"]
