"""Write a tree as one `torch.export` archive, `.pt2`: normalised images in, {attribute: scores} out, without a pickle.

The archive that `torch.export.save` writes is a zip of raw weights and JSON, but for the example inputs, which it
pickles. They are left out, which its reader allows, and what was written is looked through: an archive with a pickle in
it is not kept. (The reader still unpickles example inputs where there are some: open no .pt2 of a stranger.)
"""

import json
import warnings
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from branches.export.folder import TOLERANCE, relative_error
from branches.grafting import GraftedNet
from foundation.files import replace_atomically

MAGIC = (b"\x80", b"PK")  # a pickle, and torch's zip around one


def write_pt2(net: GraftedNet, images: Tensor, path: Path) -> Path:
    """Write the tree, on the CPU, with a batch of any length; `images` (2 or more, 3, S, S) are what it is checked on.

    Raises: RuntimeError when the archive gives other scores, or holds a pickle: then there is no file.
    """
    batch = torch.export.Dim("batch", min=1)

    def write(temporary: Path) -> None:
        archive = temporary.with_name(f"{temporary.name}.pt2")  # the writer asks for this ending
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with torch.no_grad():
                    program = torch.export.export(net, (images,), dynamic_shapes={"images": {0: batch}}, strict=False)
                    program.example_inputs = None
                    torch.export.save(program, archive)
                    require_no_pickle(archive)
                    scores, expected = torch.export.load(archive).module()(images[:1]), net(images[:1])
            worst = max(relative_error(scores[name], expected[name]) for name in expected)
            if not worst <= TOLERANCE:
                raise RuntimeError(f"the archive's scores differ from the tree's by {worst:.2e}")
            archive.replace(temporary)
        finally:
            archive.unlink(missing_ok=True)

    replace_atomically(path, write)
    return path


def require_no_pickle(path: Path) -> None:
    """Raises: RuntimeError naming the part of a .pt2 archive that is a pickle, or says that it holds one."""
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            data = archive.read(part)
            if "/sample_inputs/" in part.filename and data.startswith(MAGIC):
                raise RuntimeError(f"{part.filename} of {path} is a pickle: this torch writes one; use another target")
            if part.filename.endswith("_config.json"):
                config = json.loads(data)["config"]
                pickled = [name for name, part in config.items() if part.get("use_pickle")]
                if pickled:
                    raise RuntimeError(f"{part.filename} of {path} holds {pickled[0]} as a pickle: use another target")
