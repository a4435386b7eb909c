"""IML-GCN with its backbone trained too, against the same two stages without a graph, on the clothing photographs.

IML-GCN (Singh et al. 2022): the backbone is trained with a plain classifier, its features then give the label nodes,
and all is trained together. The control's second stage has free classifiers in place of the graph's, at equal budget.

    python -m experiments.iml_gcn_end_to_end labels_grouped.csv PHOTOS OUT --backbone tresnet_m --size 224
    python -m experiments.iml_gcn_end_to_end labels_grouped.csv PHOTOS OUT --backbone small_cnn --size 48 \\
        --trunk TRUNK --direct-epochs 3 --epochs 3

TRUNK is a trunk's folder whose weights it begins with, and whose images it
reads. Each training is a folder of OUT, continued where it stopped.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from experiments.iml_gcn_data import clothing_table
from experiments.iml_gcn_tables import COLUMNS, percent, with_interval
from experiments.indeed_measures import markdown
from label_graph.end_to_end import EndToEnd, EndToEndSettings, image_batches, score_images
from label_graph.metrics import label_metrics, mean_average_precision
from subdatasets.labels.table import LabelTable
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk

ARMS = {"no graph": "none", "IML-GCN": "cooccurrence"}


def measured(
    table: LabelTable, settings: EndToEndSettings, size: int, backbone: str, folder: Path, trunk: Trunk | None
) -> dict[str, float]:
    """One training: val mAP of both stages, and on test mAP and Table 1's columns at 0.5."""
    weights = None if trunk is None else trunk.chain.state_dict()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    reads = Preprocessing(size) if trunk is None else trunk.preprocessing
    job = EndToEnd(table, reads, settings, folder=folder, backbone=backbone, weights=weights, device=device)
    found = job.run(lambda epoch, score: print(f"{folder.name}, epoch {epoch}: val mAP {score:.4f}", flush=True))
    rows = np.flatnonzero(np.array(table.splits) == "test")
    scores = score_images(found.network.to(device), image_batches(job.held, rows, device))
    states = torch.from_numpy(table.states[rows])
    own = {"map": mean_average_precision(scores, states), "val": found.val_score, "direct": found.direct_score}
    parameters = sum(one.numel() for one in found.network.parameters())
    return {**own, "parameters": parameters, **asdict(label_metrics(scores, states))}


def main(call: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("labels", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--backbone", default="tresnet_m")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--trunk", type=Path, help="weights to begin with")
    parser.add_argument("--direct-epochs", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args(call)
    table = clothing_table(arguments.labels, arguments.photos)
    trunk = None if arguments.trunk is None else Trunk.load(arguments.trunk)
    base = EndToEndSettings(direct_epochs=arguments.direct_epochs)
    rows = []
    for arm, graph in ARMS.items():
        found = []
        for seed in arguments.seeds:
            plan = replace(
                base.graph,
                graph=graph,
                seed=seed,
                epochs=arguments.epochs,
                batch_size=arguments.batch_size,
                learning_rate=arguments.rate,
            )
            folder = arguments.out / f"{arguments.labels.stem}-{arguments.backbone}-{graph}-{seed}"
            settings = base._replace(graph=plan)
            found.append(measured(table, settings, arguments.size, arguments.backbone, folder, trunk))
        cells = [with_interval([100 * one[name] for one in found]) for name in ("direct", "val", "map")]
        cells += [percent([one[name] for one in found]) for name in COLUMNS]
        rows.append([arm, f"{fmean(one['parameters'] for one in found) / 1e6:.2f} M", *cells])
    head = [
        "",
        "parameters",
        "stage 1 val mAP, %",
        "val mAP",
        "test mAP",
        *(name.strip("_").upper() for name in COLUMNS),
    ]
    print(markdown(head, rows))


if __name__ == "__main__":
    main()
