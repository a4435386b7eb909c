"""Signs that the policy collapsed before it had learned enough: the cheap part of an audit, in every search.

All of it is read from the search's history and candidates; nothing is trained or scored.

To settle is what a policy is for: towards the end of a sound search most samples are networks that it knows, and its
entropy is a fraction of the uniform one. Eleven searches of the digits' demo had 53 to 90 % duplicates among the last
40 samples and 15 to 60 % of the entropy half-way, after 82 to 200 different networks, and what they retrained was as
good as random architectures or better. So duplicates count only where few networks had been tried before, and entropy
only where next to nothing is left of it.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from search_spaces import Architecture, Space

LAST_UPDATES = 5  # whose samples are looked at
LOW_ENTROPY = 0.1  # of a uniform policy's, at the end
EARLY_ENTROPY = 0.1  # the same before half of the updates are done
MANY_DUPLICATES = 0.5  # of the last samples, above what as many uniform draws from the space have
FEW_CANDIDATES = 0.5  # of those asked for, where the space holds so many; proposed, or tried
SETTLED = 0.95  # of the last samples make the same choice
THRESHOLDS = (
    f"Alarm: entropy below {LOW_ENTROPY:.0%} of a uniform policy's at the end, or below {EARLY_ENTROPY:.0%} before "
    f"half of the updates; a share of duplicates among the samples of the last {LAST_UPDATES} updates that exceeds a "
    f"uniform policy's by more than {MANY_DUPLICATES}, after fewer different networks than {FEW_CANDIDATES:.0%} of the "
    f"candidates asked for; fewer than {FEW_CANDIDATES:.0%} of them proposed. "
    f"A decision is settled when {SETTLED:.0%} of those samples agree on it."
)


def collapse(
    history: Sequence[Mapping[str, Any]], candidates: Sequence[Architecture], space: Space, *, asked: int, metric: str
) -> dict[str, Any]:
    """Entropy path, duplicates, candidates and settled decisions, with the alarms they raise and one sentence.

    `candidates`: the distinct ones that the policy proposed, of `asked`; entropies in nats, shares in 0..1.
    """
    updates = [record for record in history if record["kind"] == "controller_update"]
    last = [list(row) for record in updates[-LAST_UPDATES:] for row in record["architectures"]]
    uniform = sum(math.log(len(decision.choices)) for decision in space.decisions)
    path = [record["entropy"] / uniform for record in updates] if uniform else []
    wanted = min(asked, space.size)
    rng = np.random.default_rng(0)
    figures: dict[str, Any] = {
        "entropy_first": updates[0]["entropy"] if updates else None,
        "entropy_last": updates[-1]["entropy"] if updates else None,
        "entropy_uniform": uniform,
        "entropy_share_half": path[(len(path) - 1) // 2] if path else None,
        "entropy_share_last": path[-1] if path else None,
        "samples_last": len(last),
        "duplicates_last": duplicates([space.key(space.architecture(row)) for row in last]) if last else None,
        "duplicates_uniform": duplicates([space.key(space.random(rng)) for _ in last]) if last else None,
        "tried": len({space.key(space.architecture(row)) for record in updates for row in record["architectures"]}),
        "settled": settled(last, space) if last else None,
        "candidates_distinct": len(candidates),
        "candidates_asked": wanted,
        **agreement_of_retrained(history, metric),
    }
    figures["alarms"] = alarms(figures)
    figures["thresholds"] = THRESHOLDS
    figures["sentence"] = sentence(figures)
    return figures


def duplicates(keys: Sequence[object]) -> float:
    """The share of samples that build a network which an earlier one of them has built."""
    return 1 - len(set(keys)) / len(keys)


def settled(samples: Sequence[Sequence[int]], space: Space) -> float | None:
    """The share of the decisions with more than one choice that nearly all samples (n, D) answer alike."""
    open_columns = [column for column, decision in enumerate(space.decisions) if len(decision.choices) > 1]
    most = [Counter(row[column] for row in samples).most_common(1)[0][1] for column in open_columns]
    return float(np.mean([count >= SETTLED * len(samples) for count in most])) if most else None


def agreement_of_retrained(history: Sequence[Mapping[str, Any]], metric: str) -> dict[str, Any]:
    """Kendall's tau between shared and retrained scores of the few architectures that were retrained anyway."""
    pairs = [
        (record["shared_score"], record["val"][metric])
        for record in history
        if record["kind"] == "retraining" and record.get("shared_score") is not None
    ]
    tau = float(kendalltau(*zip(*pairs, strict=True)).statistic) if len(pairs) > 2 else math.nan
    return {"tau_of_retrained": None if math.isnan(tau) else tau, "retrained": len(pairs)}


def alarms(figures: Mapping[str, Any]) -> list[str]:
    """What is beyond its threshold, in words; empty when all is well."""
    raised = []
    if (at_end := figures["entropy_share_last"]) is not None and at_end < LOW_ENTROPY:
        raised.append(f"the policy ended at {at_end:.0%} of a uniform policy's entropy")
    elif (half_way := figures["entropy_share_half"]) is not None and half_way < EARLY_ENTROPY:
        raised.append(f"half-way the policy was down to {half_way:.0%} of a uniform policy's entropy")
    repeated, tried = figures["duplicates_last"], figures["tried"]
    few = FEW_CANDIDATES * figures["candidates_asked"]
    if repeated is not None and repeated - figures["duplicates_uniform"] > MANY_DUPLICATES and tried < few:
        raised.append(
            f"{repeated:.0%} of its last {figures['samples_last']} samples were duplicates, when it had tried {tried} "
            f"different network{'' if tried == 1 else 's'}"
        )
    if figures["candidates_distinct"] < few:
        raised.append(f"it proposed {figures['candidates_distinct']} of {figures['candidates_asked']} candidates")
    return raised


def sentence(figures: Mapping[str, Any]) -> str:
    """One sentence for the user."""
    if figures["alarms"]:
        return (
            f"The controller has collapsed: {'; '.join(figures['alarms'])}. Its samples are too much alike: lower "
            "search.updates_per_epoch, or set search.recipe to one with more entropy."
        )
    if figures["entropy_share_last"] is None:
        return "The controller was never updated, so the candidates are random."
    return (
        f"No collapse: the policy tried {figures['tried']} different networks and ended at "
        f"{figures['entropy_share_last']:.0%} of a uniform policy's entropy, {figures['duplicates_last']:.0%} of its "
        f"last {figures['samples_last']} samples were duplicates, and it proposed {figures['candidates_distinct']} "
        "distinct candidates."
    )
