"""One plain sentence for the user: do the shared weights rank, did the search gain, is it worth its cost."""

from collections.abc import Mapping
from typing import Any

from branches.metrics import title_of

RANKS_WELL = 0.6  # tau, or this share of the ceiling ...
NEAR_CEILING = 0.8
CLEAR_CEILING = 0.4  # below, retraining itself is too noisy to rank by
MATTERS = 0.002  # a gain below this is not worth a search, in the reward's unit


def audit_sentence(audit: Mapping[str, Any]) -> str:
    """`audit`: the record that `nas.audit.run_audit` makes."""
    gained = gain_clause(audit["gain"], audit["metric"])
    parts = [f"On {audit['attribute']}, {ranking_clause(audit['ranking'])}", gained, equal_cost_clause(audit["gain"])]
    if audit["collapse"]["alarms"]:
        parts.append(f"the controller has collapsed ({audit['collapse']['alarms'][0]})")
    return f"{'; '.join(part for part in parts if part)}: {advice(audit)}."


def ranking_clause(ranking: Mapping[str, Any]) -> str:
    """How well the shared weights rank, with tau, its interval and the ceiling."""
    tau, ceiling = ranking["tau"], ranking["ceiling"]["tau"]
    if tau["tau"] is None or ceiling is None:
        return "the scores differ too little to rank by"
    figures = f"(tau {tau['tau']:.2f} [{tau['low']:.2f}, {tau['high']:.2f}], ceiling {ceiling:.2f})"
    if ceiling < CLEAR_CEILING:
        return f"two retrainings hardly agree with one another, so no ranking could be right {figures}"
    if tau["low"] <= 0:
        return f"the shared weights rank no better than chance may {figures}"
    if tau["tau"] >= min(RANKS_WELL, NEAR_CEILING * ceiling):
        return f"the shared weights rank like retraining does {figures}"
    return f"the shared weights rank only roughly {figures}"


def gain_clause(gain: Mapping[str, Any], metric: str) -> str:
    """What the search gained at equal budget."""
    over = gain["equal_budget"]
    gained = f"the search gained {over['difference']:+.4f}{interval(over)}"
    text = f"{gained} val {title_of(metric)} over random at equal budget"
    return f"{text} ({over['seeds']} seeds)" if over["seeds"] > 1 else f"{text} (one seed, so without an interval)"


def equal_cost_clause(gain: Mapping[str, Any]) -> str:
    """And when random search may spend the search's seconds on more architectures."""
    over = gain["equal_cost"]
    return f"{over['difference']:+.4f}{interval(over)} at equal cost ({gain['extra_random']} more random architectures)"


def interval(over: Mapping[str, Any]) -> str:
    return "" if over["low"] is None else f" [{over['low']:+.4f}, {over['high']:+.4f}]"


def advice(audit: Mapping[str, Any]) -> str:
    """What follows, in a few words."""
    budget, cost = audit["gain"]["equal_budget"], audit["gain"]["equal_cost"]
    if budget["low"] is None:
        return "too little to say whether the search is worth it; audit with more --seeds"
    if budget["high"] < 0:
        return "random search does better here"
    if budget["low"] > 0:
        if cost["high"] < 0:
            return "random search given the same seconds does better"
        return (
            "worth searching"
            if cost["low"] > 0 or cost["difference"] > 0
            else "worth it only per training, not per second"
        )
    if budget["high"] < MATTERS:
        return "no gain worth having; random search does as well"
    return "too noisy to say whether the search is worth it; audit with more --seeds"
