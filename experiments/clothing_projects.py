"""Turn the clothing photographs into two GraftNet projects: nine attributes train the trunk, six others are searched.

The split is the archive's own (train 1,469, val 226, test 403), the same photographs in both projects: the trunk sees
the training images only, and none of the six attributes' labels.

    tar xf ARCHIVE_FOLDER/images.tar -C PHOTOS
    python -m experiments.clothing_projects ARCHIVE_FOLDER/labels_grouped.csv PHOTOS OUT
    cd OUT/trunk && graftnet trunk train
    cd OUT/search && graftnet trunk use ../trunk && graftnet search --all
"""

import argparse
import csv
import subprocess
import sys
from pathlib import Path

SEARCHED = ("outerwear", "trousers", "skirt", "dress_any", "eyewear", "legwear")
NOT_ATTRIBUTES = ("file", "split", "annotation")

TOML = """[project]
name = "clothing-{name}"

[trunk]
backbone = "small_cnn"
image_size = 64
freeze_depth = 4
steps = 1500
batch_size = 64
attributes_per_step = 1
shared_labels = false
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("labels", type=Path, help="labels_grouped.csv")
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    with open(arguments.labels, encoding="utf-8", newline="") as file:
        columns = [name for name in next(csv.reader(file)) if name not in NOT_ATTRIBUTES]
    for name, attributes in (
        ("trunk", [column for column in columns if column not in SEARCHED]),
        ("search", list(SEARCHED)),
    ):
        folder = arguments.out / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "graftnet.toml").write_text(TOML.format(name=name), encoding="utf-8")
        call = [sys.executable, "-m", "graftnet", "data", "import", str(arguments.labels.resolve())]
        call += ["--images", str(arguments.photos.resolve()), "--project", str(folder)]
        subprocess.run([*call, *(part for column in attributes for part in ("--column", column))], check=True)


if __name__ == "__main__":
    main()
