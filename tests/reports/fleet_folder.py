"""A made-up runs/ folder with searches of several attributes and the record that `graftnet report` writes of them."""

import json
from pathlib import Path
from typing import Any

from tests.reports.search_folder import write_search

FINGERPRINT = "5f0c" * 16
COSTS = {"parameters": 8_963_456, "macs": 315_000_000, "latency_ms": 21.5}


def write_fleet(runs: Path, names: tuple[str, ...] = ("bald", "backpack", "courier", "youth")) -> Path:
    """Searches of `names`, the last but one stale, the last never searched; returns the path of fleet.json."""
    attributes: list[dict[str, Any]] = []
    for seed, name in enumerate(names[:-1]):
        folder = write_search(
            runs / "searches" / name / f"id{seed}", attribute=name, seed=seed, epochs=2, proposals=8, retrained=2
        )
        edit_result(folder, latency_ms=0.31 + seed / 10, tail_latency_ms=4.2)
        attributes.append(
            {
                "attribute": name,
                "search": f"../searches/{name}/id{seed}",
                "grafted": seed == 0,
                "state": "current",
                "reasons": [],
            }
        )
    attributes[-1].update(state="stale", reasons=["search.epochs 12 -> 20", "its data changed"])
    attributes.append(
        {"attribute": names[-1], "search": None, "grafted": False, "state": "missing", "reasons": []},
    )
    old = {"version": "1111", "created": "2031-01-02T00:00:00", "backbone": "inception_v3", "fingerprint": "11" * 32}
    new = {"version": "5f0c", "created": "2031-04-02T00:00:00", "backbone": "inception_v3", "fingerprint": FINGERPRINT}
    record = {
        "project": "people",
        "created": "2031-05-14T09:26:53",
        "machine": "2 cores",
        "attributes": attributes,
        "trunk": {
            "version": "5f0c",
            "rollback": "1111",
            "backbone": "inception_v3",
            "fingerprint": FINGERPRINT,
            "sentence": "Two attributes are new to the trunk: wait for five.",
            "versions": [{**old, "attributes": ["bald"]}, {**new, "attributes": list(names[:2])}],
            "costs": {"8": COSTS},
            "timed": "one image on cpu, 1 thread, the median of 10",
        },
        "links": [
            {"kind": "label graph", "name": "voc", "page": "../label_graph/voc/report.html", "sentence": "It helps."},
            {"kind": "study", "name": "depth", "page": None},
        ],
    }
    path = runs / "reports" / "fleet.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record), encoding="utf-8")
    return path


def edit_result(folder: Path, **fields: Any) -> None:
    """Change fields of a search's result.json."""
    path = folder / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | fields), encoding="utf-8")


def edit_record(path: Path, **fields: Any) -> None:
    """Change fields of fleet.json."""
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | fields), encoding="utf-8")
