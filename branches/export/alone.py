"""Run written source where it will run: in a process of its own, without this toolkit.

What was written is never executed in the toolkit's own process: a record that it was made of may be somebody else's,
and whatever a mistake of ours lets through would run with all that is loaded and open here. The process is started with
the first source, keeps torch loaded for those that follow, and ends with this one.
"""

import atexit
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

# Isolated (-I), so the folder it begins in is not searched; it gets our paths, and refuses the toolkit's own names.
CHILD = """
import importlib.abc, importlib.util, json, os, sys
sys.dont_write_bytecode = True
start = json.loads(sys.stdin.readline())
sys.path[:] = start["path"]
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what the source prints is no answer

class None_(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in start["toolkit"]:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, None_())
import numpy, torch
torch.set_num_threads(start["threads"])
for line in sys.stdin:
    asked = json.loads(line)
    try:
        spec = importlib.util.spec_from_file_location("written_source", asked["source"])
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        with torch.no_grad():
            scores = module.load(os.path.dirname(asked["source"]))(torch.from_numpy(numpy.load(asked["inputs"])))
        scores = scores if isinstance(scores, dict) else {"scores": scores}
        numpy.savez(asked["outputs"], **{f"of {name}": table.numpy() for name, table in scores.items()})
        answer = None
    except BaseException as error:
        answer = f"{type(error).__name__}: {error}"
    print(json.dumps(answer), file=answers, flush=True)
"""
TOOLKIT = (
    *("foundation", "subdatasets", "trunk", "search_spaces", "branches", "label_graph", "nas", "reports"),
    *("deployment", "graftnet"),
)


class Alone:
    """A process that runs written source; it is started when it is needed, and again where it ended."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def scores(self, source: Path, inputs: Tensor) -> dict[str, npt.NDArray[np.float32]]:
        """What the module that `load(folder)` of this source gives computes: {name: scores}, "scores" where it is one.

        Raises: RuntimeError when it fails.
        """
        with tempfile.TemporaryDirectory() as temporary:
            files = {"inputs": Path(temporary) / "inputs.npy", "outputs": Path(temporary) / "outputs.npz"}
            np.save(files["inputs"], inputs.detach().cpu().numpy())
            asked = {"source": str(source.resolve()), **{key: str(path) for key, path in files.items()}}
            try:
                answer = self.answer(asked)
            except (OSError, ValueError) as error:
                self.stop()
                raise RuntimeError(f"{source.name} could not be tried in a process of its own ({error})") from error
            if answer is not None:
                raise RuntimeError(f"{source.name} does not run without the toolkit: {answer}")
            with np.load(files["outputs"], allow_pickle=False) as arrays:
                return {name.removeprefix("of "): arrays[name] for name in arrays.files}

    def answer(self, asked: dict[str, str]) -> Any:
        """None, or what went wrong there."""
        process = self.started()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    def started(self) -> "subprocess.Popen[str]":
        """The process, listening."""
        if self.process is None or self.process.poll() is not None:
            command = [sys.executable, "-I", "-c", CHILD]
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=tempfile.gettempdir(),
                text=True,
                encoding="utf-8",
            )
            atexit.register(self.stop)
            # Installed, the toolkit lies beside torch: its folder stays in the path, and its names are refused.
            path = [entry for entry in sys.path if entry]
            start = {"path": path, "toolkit": TOOLKIT, "threads": torch.get_num_threads()}
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps(start) + "\n")
        return self.process

    def stop(self) -> None:
        """End the process, if there is one."""
        process, self.process = self.process, None
        atexit.unregister(self.stop)
        if process is not None:
            process.kill()
            process.communicate()


ALONE = Alone()
