"""The controller: an LSTM policy that answers the decisions of a search space one after the other.

Efficient Neural Architecture Search via Parameter Sharing (Pham, Guan, Zoph, Le, Dean, 2018), arXiv:1802.03268,
section 2.4 and appendix; logit temperature and tanh constant after Bello et al. (2017), arXiv:1611.09940.
Differences: any sequence of categorical decisions, not operations and skips alone; a softmax head and an embedding
table per decision; n architectures are unrolled together; the entropy is that of the distributions, not of the
sample; the skip penalty uses the probability an edge is really drawn with; no global random state.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from nas.controller.steps import steps_of
from nas.errors import SearchError
from search_spaces.decisions import Decision

CLOSED = -1e9  # the logit of a choice that a decision does not have
# a step's columns of the decisions, and their logits (n, columns, widest) -> the choices (n, columns)
Choose = Callable[[slice, Tensor], Tensor]


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

    decisions: tuple[Decision, ...]
    hidden: int
    temperature: float | None
    tanh_constant: float | None
    skip_target: float
    cell: nn.LSTMCell
    start: nn.Parameter  # (hidden,), the first input
    embeddings: nn.Parameter  # (steps with a softmax, widest, hidden)
    heads: nn.Parameter  # (steps with a softmax, widest, hidden)
    biases: nn.Parameter  # (steps with a softmax, widest)
    outside: nn.Parameter | None  # anchors of sources that decide nothing before, (sources, hidden)
    anchor_weight: nn.Parameter  # W_a, (hidden, hidden); this and the next two only where there are edges
    query_weight: nn.Parameter  # W_b, (hidden, hidden)
    attention: nn.Parameter  # v, (hidden,)
    _sizes: Tensor  # (D,) choices of each decision
    _closed: Tensor  # (D, widest) 0, or CLOSED where a decision has no such choice

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
        self._steps, outside = steps_of(self.decisions)
        self._edges = [column for step in self._steps if step.sources for column in step.columns]
        sizes = torch.tensor([len(decision.choices) for decision in self.decisions])
        self._widest = int(sizes.max())

        tables = sum(not step.sources for step in self._steps)
        self.cell = skip_init(nn.LSTMCell, hidden, hidden)  # type: ignore[no-untyped-call]
        self.start = nn.Parameter(torch.empty(hidden))
        self.embeddings = nn.Parameter(torch.empty(tables, self._widest, hidden))
        self.heads = nn.Parameter(torch.empty(tables, self._widest, hidden))
        self.biases = nn.Parameter(torch.empty(tables, self._widest))
        self.outside = nn.Parameter(torch.empty(outside, hidden)) if outside else None
        if self._edges:
            self.anchor_weight = nn.Parameter(torch.empty(hidden, hidden))
            self.query_weight = nn.Parameter(torch.empty(hidden, hidden))
            self.attention = nn.Parameter(torch.empty(hidden))
        closed = torch.arange(self._widest) >= sizes[:, None]
        self.register_buffer("_sizes", sizes, persistent=False)
        self.register_buffer("_closed", torch.zeros(closed.shape).masked_fill(closed, CLOSED), persistent=False)
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
        gumbel = noise.clamp_min_(1e-20).log_().neg_().log_().neg_().to(self.start.device)
        with torch.no_grad():
            return self._walk(n, lambda columns, logits: (logits + gumbel[:, columns]).argmax(-1))[0]

    def evaluate(self, choices: Tensor) -> Samples:
        """What the policy thinks of given `choices` (n, D); differentiable. Raises SearchError for unknown choices."""
        if choices.ndim != 2 or choices.shape[1] != len(self.decisions):
            raise SearchError(f"Choices must be (n, {len(self.decisions)}) indices, not {tuple(choices.shape)}.")
        choices = choices.to(self.start.device)
        if bool(((choices < 0) | (choices >= self._sizes)).any()):
            raise SearchError(
                "A choice index is outside its decision: use indices of the space this controller is for."
            )
        return self._judge(*self._walk(len(choices), lambda columns, _: choices[:, columns]))

    def mode(self) -> Tensor:
        """The architecture (D,) of the likeliest choice at every step, greedily."""
        with torch.no_grad():
            return self._walk(1, lambda _, logits: logits.argmax(-1))[0][0]

    def _walk(self, n: int, choose: Choose) -> tuple[Tensor, Tensor]:
        """Choices (n, D) and logits (n, D, widest) along the steps: what `choose` answers is the next one's input."""
        anchors = {} if self.outside is None else {-1 - i: row.expand(n, -1) for i, row in enumerate(self.outside)}
        tables = zip(self.heads, self.biases, self.embeddings, strict=True)
        x, h, c = self.start.expand(n, -1), self.start.new_zeros(n, self.hidden), self.start.new_zeros(n, self.hidden)
        all_choices, all_logits = [], []
        for step in self._steps:
            h, c = self.cell(x, (h, c))
            if step.anchor is not None:
                anchors[step.anchor] = h
            if step.sources:
                sources = torch.stack([anchors[source] for source in step.sources], 1)  # (n, edges, hidden)
                logits = self._edge_logits(sources, h)
            else:
                head, bias, embedding = next(tables)
                logits = F.linear(h, head, bias)[:, None]  # (n, 1, widest)
            columns = slice(step.columns[0], step.columns[-1] + 1)
            logits = self._squashed(logits) + self._closed[columns]
            choices = choose(columns, logits)
            x = _mean_of_chosen(sources, choices) if step.sources else F.embedding(choices[:, 0], embedding)
            all_choices.append(choices)
            all_logits.append(logits)
        return torch.cat(all_choices, 1), torch.cat(all_logits, 1)

    def _edge_logits(self, sources: Tensor, h: Tensor) -> Tensor:
        """(-q, q) of the edges from `sources` (n, edges, hidden), q = v . tanh(W_a anchor + W_b h)."""
        key, query = F.linear(sources, self.anchor_weight), F.linear(h, self.query_weight)
        q = torch.tanh(key + query[:, None]) @ self.attention  # (n, edges)
        return F.pad(torch.stack((-q, q), -1), (0, self._widest - 2))  # (n, edges, widest)

    def _squashed(self, logits: Tensor) -> Tensor:
        """tanh_constant * tanh(z / temperature), where these are given."""
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


def _mean_of_chosen(anchors: Tensor, choices: Tensor) -> Tensor:
    """The sum of the anchors (n, edges, hidden) whose edges (n, edges) are on, over 1 + their number: (n, hidden)."""
    on = choices.to(anchors.dtype)
    return (on[:, None] @ anchors)[:, 0] / (1.0 + on.sum(1, keepdim=True))
