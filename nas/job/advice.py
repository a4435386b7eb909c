"""The verdict on a job's result: ship it or label more, with the figure, its interval, its cost and the reason.

What test does not tell apart is never a reason to take the other: val chose, and stands. Only a difference beyond its
interval, or an interval that is too wide, changes the advice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from branches.measures.metrics import title_of
from nas.job.gains import Gain, Interval
from subdatasets.reading.rows import too_few_words

WIDE = 0.1  # of a figure's 95 % interval: further apart than most things that one decides between
CHANCE = 0.5  # AUROC of scores that say nothing
WORDS = {
    "searched": "the searched branch",
    "random": "the best random branch",
    "linear_probe": "the linear probe",
    "joined_probe": "the linear probe of all depths",
    "tail": "the fine-tuned tail",
    "by-hand": "the branch by hand",
}
SHIP, SHIP_AND_LABEL, LABEL = "ship", "ship, and label more", "label more"


class TooFew(NamedTuple):
    """The rarest value of a split, of which it holds fewer than `FEW` images."""

    value: str
    images: int

    def sentence(self, split: str) -> str:
        """What is said in a verdict's place, wherever one is withheld."""
        return too_few_words(self.value, self.images, split)


@dataclass(frozen=True)
class Facts:
    """What a verdict is made of.

    key, costs: what the result is, and what it costs in words. metric, score: its mean on test; None without a test
    split. images: of test. others: the keys of all else that was trained, the best on val first, with each one's mean
    on test; gains: over them. cheapest: whether it is not the best on val, but the cheapest within the margin of that.
    search_gain: of the searched branch over the best random one; random: so many of those
    were trained. few: the value with too few test images. more: what more labels would bring, in a clause.
    """

    attribute: str
    key: str
    costs: str
    metric: str
    val: float
    score: Interval | None = None
    images: int = 0
    others: Mapping[str, float] | None = None
    other_costs: Mapping[str, str] | None = None
    gains: Mapping[str, Gain] | None = None
    cheapest: bool = False
    search_gain: Gain | None = None
    random: int = 0
    few: TooFew | None = None
    more: str = ""


class Advice(NamedTuple):
    """What to do ("ship", "ship, and label more" or "label more"), the verdict's first sentence, and the reason."""

    action: str
    sentence: str
    reason: str

    def record(self, facts: Facts) -> dict[str, Any]:
        """What ``result.json`` says of it."""
        following = next(iter(facts.others or {}), None)
        about = {"action": self.action, "what": kind_of(facts.key), "reason": self.reason}
        return {**about, "next": None if following is None else kind_of(following)}


def words_of(key: str) -> str:
    """What one kind of contestant is called in a sentence."""
    return WORDS.get(key, f"the best branch of {key}")


def kind_of(key: str) -> str:
    """A contestant's kind as `graftnet graft --choice` and ``result.json`` name it."""
    return "probe" if key == "linear_probe" else key


def advise(facts: Facts) -> Advice:
    """The first match of: no test split, too few test images, chance, worse than another, wide, told apart, not."""
    name, title = words_of(facts.key), title_of(facts.metric)
    if facts.score is None:
        reason = f"there is no test split, so nothing is said of how good {name} is beyond val, which chose it"
        return Advice(LABEL, f"Label test images before you ship {name} (val {title} {facts.val:.4f})", reason)
    figure = f"test {title} {facts.score}, {facts.costs}"
    if facts.few is not None:
        reason = f"{facts.few.sentence('test')} how good it is, or whether anything else is better"
        return Advice(LABEL, f"Label more before you ship {name}: test {title} {facts.score.mean:.4f}", reason)
    following = next(iter(facts.others or {}), None)
    if following is not None and facts.others:
        cost = (facts.other_costs or {}).get(following, "").split(" ")[0]
        figure += f"; the next best is {words_of(following)}, {facts.others[following]:.4f}"
        figure += f" with {cost} parameters" if cost else ""
        if gain := (facts.gains or {}).get(following):
            figure += f" (difference {gain})"
    if facts.metric == "auroc" and facts.score.low <= CHANCE:
        reason = (
            f"its interval holds {CHANCE}, which scores that say nothing have; more training images may change that"
        )
        return Advice(LABEL, f"Label more before you ship {name}: {figure}", reason)
    width = facts.score.high - facts.score.low
    if width > WIDE:
        reason = (
            f"{standing_of(facts, following)}; but the interval is {width:.2f} wide: four times as many test images, "
            f"{4 * facts.images:,}, would about halve it"
        )
        return Advice(SHIP_AND_LABEL, f"Ship {name}, and label more: {figure}", reason)
    return Advice(SHIP, f"Ship {name}: {figure}", standing_of(facts, following))


def standing_of(facts: Facts, following: str | None) -> str:
    """How the result stands beside the others on test."""
    gains = facts.gains or {}
    ahead = {key: gain for key, gain in gains.items() if gain.high < 0}
    if ahead:
        key = min(ahead, key=lambda other: ahead[other].difference)
        cost = (facts.other_costs or {}).get(key)
        return (
            f"{why(facts)}, but on test {words_of(key)} is better beyond the interval ({-ahead[key].difference:.4f})"
            f"{f', for {cost}' if cost else ''}; `graftnet graft {facts.attribute} --choice {kind_of(key)}` takes that"
        )
    if following is None or following not in gains:
        return "nothing else was trained to compare it with"
    if gains[following].low > 0:
        return "it is ahead of the next best beyond the interval"
    wanted = images_wanted(facts, gains[following])
    return f"{why(facts)}, and test does not tell it apart from the next best{wanted}"


def why(facts: Facts) -> str:
    """Why it is the result, in a clause."""
    return "it is the cheapest within the margin of the best on val" if facts.cheapest else "val chose it"


def images_wanted(facts: Facts, gain: Gain) -> str:
    """How many test images would tell a difference of this size apart; empty where images are not what is lacking."""
    half, of_images = (gain.high - gain.low) / 2, (gain.images_high - gain.images_low) / 2
    if not gain.difference or of_images < 0.7 * half:  # the seeds' chance weighs as much, which no image lessens
        return ""
    wanted = facts.images * (half / abs(gain.difference)) ** 2
    if wanted > 50 * facts.images:
        return ", nor would any number of images that one labels"
    rounded = round(wanted, -len(str(int(wanted))) + 2)
    return f"; about {rounded:,.0f} test images would, if the difference stays what it is"


def search_clause(facts: Facts) -> str:
    """What searching gained over as many random architectures; empty where that was not measured."""
    gain = facts.search_gain
    if gain is None or facts.few is not None:
        return ""
    told = "a gain beyond the interval" if gain.low > 0 else "a loss beyond the interval" if gain.high < 0 else ""
    return (
        f" Searching gained {gain} over the best of {facts.random} random architectures trained alike: "
        f"{told or 'not told apart'}."
    )


def rivals_clause(facts: Facts) -> str:
    """How the result stands beside what other strategies found; empty where none was asked for."""
    gains = {} if facts.few is not None else facts.gains or {}
    told = [f"{gain} over the best that {key} found" for key, gain in gains.items() if key not in WORDS]
    return f" The result gains {'; '.join(told)}." if told else ""


def verdict(facts: Facts) -> tuple[str, Advice]:
    """The verdict as text, and the advice in it."""
    advice = advise(facts)
    if facts.more and facts.few is None:
        advice = advice._replace(reason=f"{advice.reason}; {facts.more}")
    once = ""
    if facts.score is not None and facts.score.over == "images":
        once = " The intervals hold the chance of the test images alone: nothing was trained twice."
    reason = advice.reason[0].upper() + advice.reason[1:]
    return f"{advice.sentence}. {reason}.{once}{search_clause(facts)}{rivals_clause(facts)}", advice
