"""Hard negatives of a project's attribute: embed, mine, and write a new sub-dataset with its provenance and report."""

import hashlib
from collections.abc import Mapping, Sequence
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
from graftnet.searches.features import AttributeData, cache_of, device_of
from graftnet.terminal.output import Answer, if_long, text_table
from graftnet.trunks.precision import feature_precision
from graftnet.trunks.versions import open_trunk
from nas.job.pictures import small_picture
from subdatasets.attribute import Attribute
from subdatasets.image_files import content_hashes
from subdatasets.mining import Cluster, MiningSettings, cluster_record, kept_number, mine, positive_of, thinned
from subdatasets.subdataset import Example, csv_bytes, write_subdataset
from trunk.features.cached import averaged

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


def mine_attribute(
    project: Project,
    attribute: str,
    choices: MiningChoices,
    *,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
) -> Answer:
    """Write ``data/NAME.csv``: all positives, the mined train negatives, val and test as they are; and a report.

    Returns:
        The new sub-dataset's provenance, which is kept in ``NAME.mining.json``, and the path of the report.

    Raises:
        ConfigError: the name is taken by something that was not mined. DataError: the sub-dataset cannot be mined so.
    """
    source = project.read(attribute)
    target = target_of(project, attribute, choices.name or f"{attribute}-mined", replace=choices.replace)
    positive = positive_of(source, choices.positive)
    trunk = open_trunk(project, device)
    depth = len(trunk.chain) if choices.depth is None else trunk.check_depth(choices.depth)
    train = source.split("train")
    hashes = content_hashes(
        [example.path for example in source.examples],
        progress=if_long(progress) if progress else None,
        memory=project.memory,
    )
    precision = feature_precision(project, trunk, device_of(trunk))
    embedded = embeddings(AttributeData(project, trunk, source, hashes, depth, precision), progress)
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
        "clusters": [cluster_record(cluster, negatives, source.attribute.values) for cluster in clusters],
        "command": this_command(),
        "created": timestamp(),
    }
    write_json(project.mined(mined.attribute.name), record)
    write_subdataset(mined, target)
    from reports.mining import write_mining_report

    positives = [example for example in train if example.value == positive]
    strips = strips_of(positives, negatives, clusters, trunk.preprocessing.white)
    report = write_mining_report(record, strips, project.reports / f"mining-{mined.attribute.name}.html")
    return Answer({**record, "report": report}, summary(record, target, report))


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


def embeddings(data: AttributeData, progress: Progress | None = None) -> npt.NDArray[np.float32]:
    """The globally averaged features of the train images, (N, channels), through the project's cache.

    They are cached as float16 whatever `features.storage` says: distances are of the trunk's own channels.
    """
    cache = cache_of(data.project.uncompressed, data.trunk, data.precision)
    images = {data.hashes[example.path]: example.path for example in data.subdataset.split("train")}
    cache.fill(images, [data.depth], progress=progress)
    contents = data.contents[: len(data.subdataset.split("train"))]
    averages: npt.NDArray[np.float32] = averaged(cache.open(contents, data.depth)).numpy()
    return averages


def strips_of(
    positives: Sequence[Example], negatives: Sequence[Example], clusters: Sequence[Cluster], white: int | None
) -> "list[Strip]":
    """The first positives, then what is kept and what is removed of each cluster."""
    from reports.mining import Strip

    strips = [Strip("Positives", "", thumbnails(positives, white))]
    for number, cluster in enumerate(clusters, 1):
        for verb, members in parted(cluster):
            if members:
                note = f"{len(members):,} images, those nearest to the cluster's centre first"
                chosen = [negatives[row] for row in members]
                strips.append(Strip(f"Cluster {number}, {verb}", note, thumbnails(chosen, white)))
    return strips


def parted(cluster: Cluster) -> list[tuple[str, list[int]]]:
    """A cluster's rows that are kept and that are removed, those nearest to its centre first."""
    kept = set(cluster.kept)
    return [
        ("kept", [row for row in cluster.members if row in kept]),
        ("removed", [row for row in cluster.members if row not in kept]),
    ]


def thumbnails(examples: Sequence[Example], white: int | None) -> tuple[str, ...]:
    """Small pictures of the first of these examples, as data URLs."""
    return tuple(small_picture(example.path, THUMBNAIL, quality=80, white=white) for example in examples[:EXAMPLES])


def summary(record: Mapping[str, Any], target: Path, report: Path) -> str:
    """What was kept, a line per cluster, for a person."""
    rows = [("cluster", "distance", "similarity", "images", "kept", "")]
    for number, cluster in enumerate(record["clusters"], 1):
        figures = (f"{cluster['distance']:.3f}", f"{cluster['similarity']:.3f}")
        counts = (f"{cluster['size']:,}", f"{cluster['kept']:,}")
        rows.append((str(number), *figures, *counts, "whole" if cluster["close"] else "thinned"))
    head = f"{record['attribute']}: {record['kept']:,} of {record['negatives']:,} train negatives kept, beside "
    lines = [
        f"{head}{record['positives']:,} positives ({target})",
        *(f"  {line}" for line in text_table(rows, ">>>>>")),
        f"  report {report}",
        f"Next: graftnet search {record['attribute']}",
    ]
    return "\n".join(lines)
