"""An LSTM policy that answers the decisions of a search space one after the other.

Efficient Neural Architecture Search via Parameter Sharing (Pham, Guan, Zoph, Le, Dean, 2018), arXiv:1802.03268,
section 2.4 and appendix; logit temperature and tanh constant after Bello et al. (2017), arXiv:1611.09940.
Differences: any sequence of categorical decisions, not operations and skips alone; a softmax head and an embedding
table per decision; n architectures are unrolled together; the entropy is that of the distributions, not of the
sample; the skip penalty uses the probability an edge is really drawn with; no global random state.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from nas.errors import SearchError
from nas.steps import Step, places_of, steps_of
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
        """Draw `n` architectures with `generator` (CPU); the log-probabilities can be differentiated."""
        noise = torch.rand(n, len(self.decisions), self._widest, generator=generator)
        gumbel = (
            noise.clamp_min_(1e-20).log_().neg_().log_().neg_()
        )  # the largest logit + Gumbel noise is a softmax draw
        return self._unroll(n, None, gumbel.to(self.start.device))

    def evaluate(self, choices: Tensor) -> Samples:
        """What the policy thinks of given `choices` (n, D); differentiable. Raises SearchError for unknown choices."""
        if choices.ndim != 2 or choices.shape[1] != len(self.decisions):
            raise SearchError(f"Choices must be (n, {len(self.decisions)}) indices, not {tuple(choices.shape)}.")
        choices = choices.to(self.start.device)
        if bool(((choices < 0) | (choices >= self._sizes)).any()):
            raise SearchError(
                "A choice index is outside its decision: use indices of the space this controller is for."
            )
        return self._unroll(len(choices), choices, None)

    def mode(self) -> Tensor:
        """The architecture (D,) of the likeliest choice at every step, greedily."""
        with torch.no_grad():
            return self._unroll(1, None, None).choices[0]

    def _unroll(self, n: int, given: Tensor | None, noise: Tensor | None) -> Samples:
        """Run the policy along `given` choices (n, D), or along the largest of logits + `noise` (n, D, widest)."""
        embeddings = self.embeddings.unbind()
        outside = self.outside.unbind() if self._outside else ()
        anchors = {-1 - slot: anchor.expand(n, -1) for slot, anchor in enumerate(outside)}
        state = torch.zeros(n, self.hidden, device=self.start.device, dtype=self.start.dtype)
        h, c = state, state
        x = self.start.expand(n, -1)
        table = 0
        states: list[Tensor] = []
        choices: list[Tensor] = []
        for step in self._steps:
            h, c = self.cell(x, (h, c))
            states.append(h)
            if step.anchor is not None:
                anchors[step.anchor] = h
            first, last = step.columns[0], step.columns[-1] + 1
            # (n, edges, hidden)
            sources = torch.stack([anchors[slot] for slot in step.sources], 1) if step.sources else None
            if given is None:
                with torch.no_grad():
                    logits = self._logits_of_step(h, sources, table) + self._closed[first:last]
                    chosen = (logits if noise is None else logits + noise[:, first:last]).argmax(-1)
            else:
                chosen = given[:, first:last]
            if sources is None:
                x = F.embedding(chosen[:, 0], embeddings[table])
                table += 1
            else:
                on = chosen.to(h.dtype)[:, None]  # (n, 1, edges)
                x = (on @ sources)[:, 0] / (1.0 + on.sum(-1))
            choices.append(chosen)
        return self._judge(torch.cat(choices, 1) if given is None else given, self._logits(torch.stack(states)))

    def _logits_of_step(self, h: Tensor, sources: Tensor | None, table: int) -> Tensor:
        """Logits (n, columns, widest) of the step at state `h` (n, hidden), to draw from."""
        if sources is None:
            return self._squashed(F.linear(h, self.heads[table], self.biases[table])[:, None])
        key = F.linear(sources, self.anchor_weight)
        q = torch.tanh(key + F.linear(h, self.query_weight)[:, None]) @ self.attention  # (n, edges)
        return self._squashed(F.pad(torch.stack((-q, q), -1), (0, self._widest - 2)))

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
