"""A label graph's classifiers in a bundle: a folder of their own, beside the branches, on the same trunk.

The folder is one that `graftnet graph export` wrote: `label_graph.onnx` (features in, a probability per label out),
`label_graph.json` (its contract) and `golden.npz`. It is copied, listed, verified, and run behind the bundle's trunk.
"""

import shutil
from pathlib import Path

from deployment.bundle import folder_for
from deployment.changes import changing
from deployment.errors import BundleError
from deployment.records import LABEL_GRAPH, read_labels
from deployment.runtime import Runtime
from foundation.files import write_json
from foundation.folders import file_hashes, replaced_folder


def put_label_graph(bundle: Path, exported: Path) -> tuple[str, ...]:
    """Copy an exported label graph into a bundle, in place of an earlier one; returns the names of its labels.

    Raises: BundleError when the folder holds none, or it is of another trunk, or of a depth at which the bundle's trunk
    gives no map; RuntimeError when it does not give its golden scores: then the bundle is as it was.
    """
    record = read_labels(exported)
    with changing(bundle) as index:
        if record["fingerprint"] != index["fingerprint"]:
            raise BundleError(
                f"the label graph in {exported} was trained on trunk {record['fingerprint']}, that of {bundle} is "
                f"{index['fingerprint']}: train it again on this trunk"
            )
        if str(record["freeze_depth"]) not in index["outputs"]:
            raise BundleError(
                f"the label graph in {exported} reads the map after {record['freeze_depth']} blocks, the trunk of "
                f"{bundle} gives those after {', '.join(index['outputs'])}: train it at one of these depths"
            )
        old = index.get("label_graph")
        folder = folder_for("labels", index, bundle)
        with replaced_folder(folder, f"{LABEL_GRAPH}.json") as written:
            for name in (*record["files"], f"{LABEL_GRAPH}.json"):
                shutil.copyfile(exported / name, written / name)
        new = {**index, "label_graph": {"folder": folder.name, "files": file_hashes(folder)}}
        try:
            failed = [check["problem"] for check in Runtime(bundle, index=new).verify() if not check["ok"]]
            if failed:
                raise RuntimeError(f"the label graph in {exported} is not what was exported: {'; '.join(failed)}")
        except (BundleError, RuntimeError):
            shutil.rmtree(folder, ignore_errors=True)
            raise
        write_json(bundle / "bundle.json", new)
        if old:
            shutil.rmtree(bundle / old["folder"], ignore_errors=True)
    return tuple(label["name"] for label in record["labels"])
