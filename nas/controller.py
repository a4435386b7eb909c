"""An LSTM policy that answers the decisions of a search space one after the other.

Efficient Neural Architecture Search via Parameter Sharing (Pham, Guan, Zoph, Le, Dean, 2018), arXiv:1802.03268,
section 2.4 and appendix; logit temperature and tanh constant after Bello et al. (2017), arXiv:1611.09940.
Differences: any sequence of categorical decisions, not operations and skips alone; a softmax head and an embedding
table per decision; n architectures are unrolled together; the entropy is that of the distributions, not of the
sample; the skip penalty uses the probability an edge is really drawn with; no global random state.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from nas.errors import SearchError
from nas.steps import Step, places_of, steps_of
from nas.unrolled import Floats, Indices, States, Weights, unroll
from search_spaces.decisions import Decision

CLOSED = -1e9  # the logit of a choice that a decision does not have


class Samples(NamedTuple):
    """n architectures and what the policy thinks of them: D decisions each."""

    choices: Tensor  # (n, D) int64, indices into each decision's choices
    log_prob: Tensor  # (n,) log-probability of the whole architecture, nats
    entropy: Tensor  # (n,) sum of the entropies of the D distributions met on the way, nats
    skip_penalty: Tensor  # (n,) mean over edges of KL(edge probability || skip_target), nats; 0 without edges


class Controller(nn.Module):
    """Policy over `decisions`; consecutive edges into one node are drawn in one step, by attention over anchors.

    The anchor of a node is the hidden state that has just read the node's last decision. The edge from node j is on
    with probability sigmoid(2 q), q = v . tanh(W_a anchor_j + W_b h); the next input is the sum of the chosen anchors
    divided by (1 + their number). All logits z become tanh_constant * tanh(z / temperature), where these are given.
    The weights start uniform in [-0.1, 0.1], drawn from `generator` (a CPU generator).
    Raises SearchError for a space without decisions or an edge that is not (False, True) with source and node.
    """

    def __init__(
        self,
        decisions: Sequence[Decision],
        *,
        hidden: int = 64,
        temperature: float | None = None,
        tanh_constant: float | None = None,
        skip_target: float = 0.4,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if not 0.0 < skip_target < 1.0:
            raise SearchError(
                f"skip_target is the wanted probability of an edge: give 0 < value < 1, not {skip_target}."
            )
        for name, value in (("temperature", temperature), ("tanh_constant", tanh_constant)):
            if value is not None and not value > 0.0:
                raise SearchError(f"{name} must be above 0, or None to leave the logits alone, not {value}.")
        self.decisions = tuple(decisions)
        self.hidden = hidden
        self.temperature = temperature
        self.tanh_constant = tanh_constant
        self.skip_target = skip_target
        self._steps: tuple[Step, ...]
        self._steps, self._outside = steps_of(self.decisions)
        tables = sum(not step.sources for step in self._steps)
        self._widest = max(len(decision.choices) for decision in self.decisions)
        self._table_steps: Tensor
        self._node_steps: Tensor
        self._anchor_steps: Tensor
        self._edge_anchors: Tensor
        self._edge_nodes: Tensor
        self._order: Tensor
        self._edges = [column for step in self._steps if step.sources for column in step.columns]

        self.cell: nn.LSTMCell = skip_init(nn.LSTMCell, hidden, hidden)  # type: ignore[no-untyped-call]
        self.start = nn.Parameter(torch.empty(hidden))
        self.embeddings = nn.Parameter(torch.empty(tables, self._widest, hidden))
        self.heads = nn.Parameter(torch.empty(tables, self._widest, hidden))
        self.biases = nn.Parameter(torch.empty(tables, self._widest))
        if self._outside:
            self.outside = nn.Parameter(
                torch.empty(self._outside, hidden)
            )  # anchors of sources that decide nothing before
        if self._edges:
            self.anchor_weight = nn.Parameter(torch.empty(hidden, hidden))  # W_a
            self.query_weight = nn.Parameter(torch.empty(hidden, hidden))  # W_b
            self.attention = nn.Parameter(torch.empty(hidden))  # v
        sizes = torch.tensor([len(decision.choices) for decision in self.decisions])
        closed = torch.arange(self._widest)[None, :] >= sizes[:, None]
        self._sizes: Tensor
        self._closed: Tensor
        self.register_buffer("_sizes", sizes, persistent=False)
        self.register_buffer("_closed", torch.zeros(closed.shape).masked_fill(closed, CLOSED), persistent=False)
        for name, places in places_of(self._steps, self._outside).items():
            self.register_buffer(f"_{name}", torch.tensor(places, dtype=torch.int64), persistent=False)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw all weights anew, uniform in [-0.1, 0.1] (ENAS, section 3.1)."""
        with torch.no_grad():
            for weight in self.parameters():
                weight.copy_(torch.empty(weight.shape).uniform_(-0.1, 0.1, generator=generator))

    def sample(self, n: int, generator: torch.Generator) -> Samples:
        """Draw `n` architectures with `generator` (CPU), without gradients, and judge them."""
        with torch.no_grad():
            return self.evaluate(self.draw(n, generator))

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """The choices (n, D) of `n` architectures drawn with `generator` (CPU)."""
        noise = torch.rand(n, len(self.decisions), self._widest, generator=generator)
        # the largest logit + Gumbel noise is a softmax draw
        return self._largest(n, noise.clamp_min_(1e-20).log_().neg_().log_().neg_())

    def evaluate(self, choices: Tensor) -> Samples:
        """What the policy thinks of given `choices` (n, D); differentiable. Raises SearchError for unknown choices."""
        if choices.ndim != 2 or choices.shape[1] != len(self.decisions):
            raise SearchError(f"Choices must be (n, {len(self.decisions)}) indices, not {tuple(choices.shape)}.")
        choices = choices.to(self.start.device)
        if bool(((choices < 0) | (choices >= self._sizes)).any()):
            raise SearchError(
                "A choice index is outside its decision: use indices of the space this controller is for."
            )
        states = States.apply(choices.cpu().numpy(), self._steps, *self._weights())
        return self._judge(choices, self._logits(states))

    def mode(self) -> Tensor:
        """The architecture (D,) of the likeliest choice at every step, greedily."""
        return self._largest(1, None)[0]

    def _weights(self) -> tuple[Tensor, ...]:
        """What moves the state, in the order of :meth:`nas.unrolled.Weights.of`."""
        cell = self.cell
        outside = self.outside if self._outside else self.start.new_empty(0, self.hidden)
        return cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh, self.start, self.embeddings, outside

    def _largest(self, n: int, noise: Tensor | None) -> Tensor:
        """The choices (n, D) along the largest of logits + `noise` (n, D, widest); None takes the likeliest ones."""
        rows = [part.detach().cpu().numpy() for part in (self.heads, self.biases)]
        edges = [part.detach().cpu().numpy() for part in self._edge_weights()]
        added = self._closed.cpu().numpy()[None] + (0.0 if noise is None else noise.numpy())
        tables = {number: table for table, number in enumerate(self._table_steps.tolist())}

        def largest(t: int, h: Floats, sources: Floats | None) -> Indices:
            columns = self._steps[t].columns
            if sources is None:
                logits = (h @ rows[0][tables[t]].T + rows[1][tables[t]])[:, None]
            else:
                anchor, query, attention = edges
                q = np.tanh(sources @ anchor.T + (h @ query.T)[:, None]) @ attention  # (n, edges)
                logits = np.stack((-q, q), -1)
            squashed = self._squashed(torch.from_numpy(logits)).numpy()
            found: Indices = (squashed + added[:, columns[0] : columns[-1] + 1, : logits.shape[-1]]).argmax(-1)
            return found

        trace = unroll(Weights.of(*self._weights()), self._steps, n, largest)
        return torch.from_numpy(np.concatenate(trace.choices, 1)).to(self.start.device)

    def _edge_weights(self) -> tuple[Tensor, ...]:
        return (self.anchor_weight, self.query_weight, self.attention) if self._edges else ()

    def _logits(self, states: Tensor) -> Tensor:
        """Logits (n, D, widest) of all steps at their states (steps, n, hidden), at once: a third of the time."""
        tables = torch.baddbmm(self.biases[:, None], states[self._table_steps], self.heads.transpose(1, 2))
        if self._edges:
            anchors = states[self._anchor_steps]
            if self._outside:
                anchors = torch.cat([self.outside[:, None].expand(-1, states.shape[1], -1), anchors])
            key = F.linear(anchors, self.anchor_weight)[self._edge_anchors]  # (edges, n, hidden)
            query = F.linear(states[self._node_steps], self.query_weight)[self._edge_nodes]
            q = torch.tanh(key + query) @ self.attention  # (edges, n)
            edges = F.pad(torch.stack((-q, q), -1), (0, self._widest - 2))
            tables = torch.cat([tables, edges])[self._order]
        return self._squashed(tables.transpose(0, 1)) + self._closed

    def _squashed(self, logits: Tensor) -> Tensor:
        if self.temperature is not None:
            logits = logits / self.temperature
        return logits if self.tanh_constant is None else self.tanh_constant * torch.tanh(logits)

    def _judge(self, choices: Tensor, logits: Tensor) -> Samples:
        """Log-probability, entropy and skip penalty of choices (n, D) under logits (n, D, widest)."""
        log_probs = torch.log_softmax(logits, -1)
        log_prob = log_probs.gather(-1, choices[:, :, None])[:, :, 0].sum(1)
        entropy = -(log_probs.exp() * log_probs).sum((1, 2))
        if not self._edges:
            return Samples(choices, log_prob, entropy, torch.zeros_like(log_prob))
        edges = log_probs[:, self._edges, :2]
        target = edges.new_tensor([1.0 - self.skip_target, self.skip_target]).log()
        skip_penalty = (edges.exp() * (edges - target)).sum(-1).mean(1)
        return Samples(choices, log_prob, entropy, skip_penalty)
