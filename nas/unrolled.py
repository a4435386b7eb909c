"""The controller's LSTM along all steps and back, in numpy: an update takes two thirds of the time of autograd's.

Long Short-Term Memory (Hochreiter, Schmidhuber, 1997) in the form of ``torch.nn.LSTMCell``; the gradient is
backpropagation through time (Werbos, 1990), written out. A policy of a few rows and 64 units spends its time in calls,
not in arithmetic, so what can be one product over all steps is one. Products are torch's: numpy's have threads of
their own, which wait for torch's.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nas.steps import Step

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]
# the step's number, its state (n, H), and the anchors (n, edges, H) of its edges, None for a softmax -> choices
Choose = Callable[[int, Floats, Floats | None], Indices]


class Weights(NamedTuple):
    """What moves the state: `cell` (2H, 4H), input above state, and `bias` (4H), gates in the order i, f, g, o; `start`
    (H); `embeddings` (tables, widest, H); `outside` (slots, H), anchors of sources that decide nothing before."""

    cell: Floats
    bias: Floats
    start: Floats
    embeddings: Floats
    outside: Floats

    @staticmethod
    def of(*tensors: Tensor) -> "Weights":
        """From input weights (4H, H), state weights (4H, H), their two biases, start, embeddings and outside."""
        inner, outer, first, second, *others = (tensor.detach().cpu().numpy() for tensor in tensors)
        return Weights(np.concatenate([inner, outer], 1).T, first + second, *others)


class Trace(NamedTuple):
    """What the gradient needs of S steps: `inputs` (S, n, 2H), activated `gates` (S, n, 4H), `cells` (S + 1, n, H),
    the tanh of the cells `squashed` (S, n, H), `states` (S, n, H) and the choices (n, columns) made at each step."""

    inputs: Floats
    gates: Floats
    cells: Floats
    squashed: Floats
    states: Floats
    choices: list[Indices]


def unroll(weights: Weights, steps: Sequence[Step], n: int, choose: Choose) -> Trace:
    """Run n policies along the steps: `choose` is asked after each one, and its answer is the next one's input."""
    hidden, cell = len(weights.start), torch.from_numpy(weights.cell)
    kind = weights.start.dtype
    shape = (len(steps), n, hidden)
    inputs, gates = np.empty((*shape[:2], 2 * hidden), kind), np.empty((*shape[:2], 4 * hidden), kind)
    cells, squashed, states = np.zeros((len(steps) + 1, n, hidden), kind), np.empty(shape, kind), np.empty(shape, kind)
    # sigmoid(z) = tanh(z / 2) / 2 + 1/2: one call activates all gates
    inner = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], kind), hidden)
    shift = np.repeat(np.array([0.5, 0.5, 0.0, 0.5], kind), hidden)
    anchors = {-1 - slot: np.broadcast_to(anchor, (n, hidden)) for slot, anchor in enumerate(weights.outside)}
    x: Floats = np.broadcast_to(weights.start, (n, hidden))
    chosen: list[Indices] = []
    table = 0
    for t, step in enumerate(steps):
        both, gate, h = inputs[t], gates[t], states[t]
        both[:, :hidden] = x
        both[:, hidden:] = states[t - 1] if t else 0.0
        torch.mm(torch.from_numpy(both), cell, out=torch.from_numpy(gate))
        gate += weights.bias
        gate *= inner
        np.tanh(gate, out=gate)
        gate *= inner
        gate += shift
        i, f, g, o = (gate[:, place : place + hidden] for place in range(0, 4 * hidden, hidden))
        np.multiply(f, cells[t], out=cells[t + 1])
        cells[t + 1] += i * g
        np.tanh(cells[t + 1], out=squashed[t])
        np.multiply(o, squashed[t], out=h)
        if step.anchor is not None:
            anchors[step.anchor] = h
        sources = np.stack([anchors[slot] for slot in step.sources], 1) if step.sources else None
        answer = choose(t, h, sources)
        chosen.append(answer)
        if sources is None:
            x = weights.embeddings[table][answer[:, 0]]
            table += 1
        else:
            on = shares(answer, kind)
            x = (on[:, None] @ sources)[:, 0]
    return Trace(inputs, gates, cells, squashed, states, chosen)


def shares(edges: Indices, kind: Any) -> Floats:
    """What each edge's anchor adds to the next input: 1 / (1 + chosen edges) where it is on; (n, edges)."""
    on: Floats = edges.astype(kind)
    on /= 1.0 + on.sum(1, keepdims=True)
    return on


def gradients(weights: Weights, steps: Sequence[Step], trace: Trace, upon_states: Floats) -> Weights:
    """The gradient of every weight, given that of the states (S, n, H)."""
    n, hidden = upon_states.shape[1:]
    kind = upon_states.dtype
    upon = upon_states.copy()  # of each state, with what comes back through edges and time
    upon_gates = np.empty_like(trace.gates)
    upon_outside = np.zeros_like(weights.outside)
    upon_embeddings = np.zeros_like(weights.embeddings)
    made_by = {step.anchor: number for number, step in enumerate(steps) if step.anchor is not None}
    back = torch.from_numpy(weights.cell).T
    gates, squashed = trace.gates, trace.squashed
    # d gate / d its sum, for all steps at once: a (1 - a) for sigmoids, 1 - a^2 for the tanh
    slopes = gates * (1.0 - gates)
    candidate = slice(2 * hidden, 3 * hidden)
    slopes[..., candidate] = 1.0 - gates[..., candidate] ** 2
    outward = gates[..., 3 * hidden :] * (1.0 - squashed**2)  # d state / d cell
    upon_cell = np.zeros((n, hidden), kind)
    table = sum(not step.sources for step in steps)
    upon_x = np.zeros((n, hidden), kind)
    for t in range(len(steps) - 1, -1, -1):
        step = steps[t]
        # upon_x is that of the input of step t + 1, which this step's answer made
        if step.sources:
            if t + 1 < len(steps):
                for slot, share in zip(step.sources, shares(trace.choices[t], kind).T, strict=True):
                    part = share[:, None] * upon_x
                    if slot < 0:
                        upon_outside[-1 - slot] += part.sum(0)
                    else:
                        upon[made_by[slot]] += part
        else:
            table -= 1
            if t + 1 < len(steps):
                np.add.at(upon_embeddings[table], trace.choices[t][:, 0], upon_x)
        upon_h = upon[t]
        upon_cell += upon_h * outward[t]
        gate, sums = gates[t], upon_gates[t]
        np.multiply(upon_cell, gate[:, candidate], out=sums[:, :hidden])
        np.multiply(upon_cell, trace.cells[t], out=sums[:, hidden : 2 * hidden])
        np.multiply(upon_cell, gate[:, :hidden], out=sums[:, candidate])
        np.multiply(upon_h, squashed[t], out=sums[:, 3 * hidden :])
        sums *= slopes[t]
        upon_cell *= gate[:, hidden : 2 * hidden]
        upon_both = torch.mm(torch.from_numpy(sums), back).numpy()
        upon_x = upon_both[:, :hidden]
        if t:
            upon[t - 1] += upon_both[:, hidden:]
    flat = upon_gates.reshape(-1, 4 * hidden)
    upon_weights = (torch.from_numpy(trace.inputs.reshape(-1, 2 * hidden)).T @ torch.from_numpy(flat)).numpy()
    return Weights(upon_weights, flat.sum(0), upon_x.sum(0), upon_embeddings, upon_outside)


class States(torch.autograd.Function):
    """The states (S, n, H) along given choices (n, D), differentiable in the weights of :meth:`Weights.of`."""

    @staticmethod
    def forward(ctx: Any, choices: Indices, steps: Sequence[Step], *tensors: Tensor) -> Tensor:
        weights = Weights.of(*tensors)

        def given(t: int, state: Floats, sources: Floats | None) -> Indices:
            columns = steps[t].columns
            return choices[:, columns[0] : columns[-1] + 1]

        trace = unroll(weights, steps, len(choices), given)
        ctx.weights, ctx.steps, ctx.trace, ctx.device = weights, steps, trace, tensors[0].device
        return torch.from_numpy(trace.states).to(ctx.device)

    @staticmethod
    def backward(ctx: Any, *upon: Tensor) -> tuple[Tensor | None, ...]:
        found = gradients(ctx.weights, ctx.steps, ctx.trace, upon[0].detach().cpu().numpy())
        cell, bias, *others = (torch.from_numpy(part).to(ctx.device) for part in found)
        hidden = len(cell) // 2
        return None, None, cell[:hidden].T, cell[hidden:].T, bias, bias, *others
