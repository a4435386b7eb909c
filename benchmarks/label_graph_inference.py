"""What a label graph costs at work: its constant classifiers against a plain linear layer of the same shape.

    python -m benchmarks.label_graph_inference [--threads 1] [--rounds 601]

Prints one JSON line. Both pool the same maps and apply one linear layer, as a torch module and as an ONNX file in
onnxruntime; `unfolded` is the torch module that runs the graph network for every batch: what folding saves. The
two take turns, a millisecond or more each, in changing order; the figures are medians over the rounds, in microseconds
per batch, and `ratio` is constant / plain of these. A ratio of 1.01 or less is wanted.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor, nn

from branches.export.folder import write_onnx
from label_graph.classifier import GCN, LabelClassifier

# (channels, height, width), labels, batch: TResNet-M on COCO, InceptionV3's trunk on the clothing tags, a small trunk
SHAPES = (((2048, 7, 7), 80, 16), ((768, 17, 17), 58, 16), ((128, 4, 4), 15, 64))
TURN_SECONDS = 0.001
UNFOLDED = 30  # calls of the graph that is not folded


class Plain(nn.Module):
    """The mean over the positions, and a linear layer."""

    def __init__(self, channels: int, labels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, labels)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.linear(features.mean(dim=(2, 3)))
        return logits


def classifier(channels: int, labels: int) -> LabelClassifier:
    """A graph of two layers over random edges, as wide as IML-GCN's."""
    generator = torch.Generator().manual_seed(0)
    adjacency = torch.rand(labels, labels, generator=generator) / labels
    gcn = GCN(adjacency, [labels, 1024, channels], generator=generator)
    return LabelClassifier(channels, labels, gcn=gcn, nodes=torch.eye(labels)).eval()


def session_of(module: nn.Module, example: Tensor, path: Path, threads: int) -> onnxruntime.InferenceSession:
    """The module as an ONNX file, opened."""
    write_onnx(module.eval(), example, path, input_name="features", output_names=["logits"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def timed(call: Callable[[], object], times: int) -> float:
    """Seconds per call."""
    started = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - started) / times


def measure(
    shape: tuple[int, int, int], labels: int, batch: int, *, rounds: int, threads: int
) -> dict[str, dict[str, float]]:
    """Microseconds per batch of each way, and the ratios."""
    features = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(1))
    graph = classifier(shape[0], labels)
    constant, plain = graph.constant(), Plain(shape[0], labels).eval()
    array = {"features": features.numpy()}
    with tempfile.TemporaryDirectory() as name:
        ours = session_of(constant, features, Path(name) / "constant.onnx", threads)
        theirs = session_of(plain, features, Path(name) / "plain.onnx", threads)
    with torch.inference_mode():
        figures = {
            "torch": compared(lambda: constant(features), lambda: plain(features), rounds),
            "onnx": compared(lambda: ours.run(None, array), lambda: theirs.run(None, array), rounds),
        }
        figures["torch"]["unfolded"] = microseconds([timed(lambda: graph(features), 1) for _ in range(UNFOLDED)])
    return figures


def compared(constant: Callable[[], object], plain: Callable[[], object], rounds: int) -> dict[str, float]:
    """Both in turns, first one and then the other in front, each after a call that is not timed."""
    times = max(1, int(TURN_SECONDS / timed(plain, 20)))
    seconds: dict[str, list[float]] = {"constant": [], "plain": []}
    for turn in range(rounds):
        pair = [("constant", constant), ("plain", plain)]
        for name, call in pair if turn % 2 else reversed(pair):
            call()
            seconds[name].append(timed(call, times))
    ours, theirs = (microseconds(seconds[name]) for name in ("constant", "plain"))
    return {"constant": ours, "plain": theirs, "ratio": round(ours / theirs, 4)}


def microseconds(seconds: list[float]) -> float:
    """The median."""
    return round(1e6 * statistics.median(seconds), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=601)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    figures = {
        f"{'x'.join(map(str, shape))}, {labels} labels, batch {batch}": measure(
            shape, labels, batch, rounds=arguments.rounds, threads=arguments.threads
        )
        for shape, labels, batch in SHAPES
    }
    line = {
        "benchmark": "label_graph_inference",
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "worst_ratio": max(part["ratio"] for figure in figures.values() for part in figure.values()),
        "worst_onnx_ratio": max(figure["onnx"]["ratio"] for figure in figures.values()),
        **figures,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
