"""Turn the CIFAR-10 JPEG archive into two GraftNet projects: one that trains the trunk, one that searches.

Of the 50,000 training images 40,000 train the trunk (2,000 of them as val) on eight one-versus-rest attributes; cat
and truck are kept out. The other 10,000 (8,000 train, 2,000 val) and the 10,000 test images make the ten sub-datasets
of the search, so that a search's images are as new to the trunk as a new attribute's are.

    python experiments/cifar10_projects.py ARCHIVE_FOLDER OUT_FOLDER
    cd OUT_FOLDER/trunk && graftnet trunk train
    cd OUT_FOLDER/search && graftnet trunk use ../trunk && graftnet search --all

`--backbone tf_efficientnet_lite0` is for `experiments.published_trunks`. `--backbone small_cnn` takes the small network
at the images' own 32 pixels, cut after four of its six blocks: minutes of training instead of an hour, and features
from which a branch still has something to work out.
"""

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np

from subdatasets.importing.arrays import import_arrays

HELD_OUT = ("cat", "truck")
TRUNK_IMAGES, TRUNK_VAL = 4000, 200
SEARCH_VAL_SHARE = 5

TRUNK_TOML = """[project]
name = "cifar10-trunk"

[trunk]
backbone = "{backbone}"
image_size = {size}
freeze_depth = {depth}
steps = {steps}
batch_size = 128
attributes_per_step = 1
shared_labels = true
"""

SEARCH_TOML = """[project]
name = "cifar10"

[trunk]
backbone = "{backbone}"
image_size = {size}
freeze_depth = {depth}
"""

# image size in pixels, frozen blocks, training steps
CUTS = {"inception_v3": (96, 8, 4500), "small_cnn": (32, 4, 3000), "tf_efficientnet_lite0": (96, 16, 800)}


def read_archive(path: Path) -> tuple[list[bytes], np.ndarray, list[str]]:
    """JPEG bytes, class numbers and class names of one archive."""
    with np.load(path) as archive:
        data, offsets = archive["jpeg"], archive["offsets"]
        images = [data[start:stop].tobytes() for start, stop in pairwise(offsets)]
        return images, archive["labels"], [str(name) for name in archive["class_names"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path, help="folder with train.npz and test.npz")
    parser.add_argument("out", type=Path)
    parser.add_argument("--backbone", choices=tuple(CUTS), default="inception_v3")
    parser.add_argument("--steps", type=int, help="of the trunk's training")
    parser.add_argument("--search-images", type=int, default=1000, help="per class, a fifth of them val")
    arguments = parser.parse_args()
    size, depth, steps = CUTS[arguments.backbone]
    cut = {"backbone": arguments.backbone, "size": size, "depth": depth}
    images, labels, names = read_archive(arguments.archive / "train.npz")
    test_images, test_labels, _ = read_archive(arguments.archive / "test.npz")
    rng = np.random.default_rng(0)
    per_class = [rng.permutation(np.flatnonzero(labels == number)) for number in range(len(names))]

    trunk = arguments.out / "trunk"
    rows = np.concatenate([rows[:TRUNK_IMAGES] for rows in per_class])
    splits = ["val" if place % TRUNK_IMAGES < TRUNK_VAL else "train" for place in range(len(rows))]
    kept = [name for name in names if name not in HELD_OUT]
    import_arrays([images[row] for row in rows], labels[rows], names, trunk / "data", splits=splits, attributes=kept)
    (trunk / "graftnet.toml").write_text(TRUNK_TOML.format(**cut, steps=arguments.steps or steps))

    search = arguments.out / "search"
    here = arguments.search_images
    rows = np.concatenate([rows[TRUNK_IMAGES : TRUNK_IMAGES + here] for rows in per_class])
    splits = ["val" if place % here < here // SEARCH_VAL_SHARE else "train" for place in range(len(rows))]
    import_arrays(
        [images[row] for row in rows] + test_images,
        np.concatenate([labels[rows], test_labels]),
        names,
        search / "data",
        splits=splits + ["test"] * len(test_images),
    )
    (search / "graftnet.toml").write_text(SEARCH_TOML.format(**cut))


if __name__ == "__main__":
    main()
