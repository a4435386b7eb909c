"""A search's inputs; their hash names its folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.files import write_json
from foundation.provenance import identity_of
from foundation.records import read_json
from graftnet.project.config import FeaturesTable
from graftnet.project.folder import Project
from graftnet.trunks.advice import Choice, why
from nas.settings import BY_HAND, JobSettings
from subdatasets.reading.draws import LIST
from subdatasets.reading.rows import few_sentence
from subdatasets.subdataset import SubDataset


@dataclass(frozen=True)
class SearchPlan:
    """Plain values, so that another process, or another machine that sees the project's folder, can carry it out.

    hashes: the content hash of every image. identity: what defines the search (data, trunk, settings, seed, device);
    another plan with the same finds the same folder. command: the command line that asked for it. choice: the
    depth that an attribute not searched yet would read, of so many blocks; this search may be older than that advice.
    auto: why "auto" took the strategy that it took; empty where one was named.
    """

    project: Project
    subdataset: SubDataset
    hashes: dict[Path, str]
    settings: JobSettings
    identity: dict[str, Any]
    command: str
    choice: Choice | None = None
    blocks: int = 0
    auto: str = ""

    @property
    def attribute(self) -> str:
        return self.subdataset.attribute.name

    @property
    def few_sentence(self) -> str:
        """What to say before val and test are asked more than so few images can tell; empty where there are enough."""
        return few_sentence(self.attribute, self.subdataset.counts())

    @property
    def drawn_sentence(self) -> str:
        """What to say of splits that move when images are added; empty where they stay."""
        if self.subdataset.drawn != LIST:
            return ""
        return (
            f"{self.attribute} says no splits, and they are drawn from the whole list: images change theirs when "
            f"others are added; `graftnet data check {self.attribute} --write-split` writes them down as they are."
        )

    @property
    def depth(self) -> int:
        """Blocks of the trunk that the features come from."""
        value: int = self.identity["freeze_depth"]
        return value

    @property
    def advised_otherwise(self) -> bool:
        """Whether a probe advises another depth than this search reads."""
        return self.choice is not None and self.choice.measured and self.choice.depth != self.depth

    @property
    def depth_sentence(self) -> str:
        """Which depth it reads, and why; empty where that is not known."""
        return why([self.attribute], self.choice, self.depth, blocks=self.blocks) if self.choice else ""

    @property
    def by_hand(self) -> bool:
        """Whether the branch is chosen by hand, and nothing searched."""
        return self.settings.strategy == BY_HAND

    @property
    def shared(self) -> dict[str, int]:
        """Images that two splits hold both, by pair of splits; empty where none are."""
        return self.subdataset.shared(self.hashes)

    @property
    def shared_sentence(self) -> str:
        """What to say of images in two splits before they are learnt from; empty where there are none."""
        told = [
            f"{count:,} of {pair.split('/')[1]} are in {pair.split('/')[0]} too" for pair, count in self.shared.items()
        ]
        if not told:
            return ""
        return (
            f"{self.attribute}: of its images, by content, {' and '.join(told)}, so that figures will be too good; "
            f"`graftnet data check {self.attribute}` names them."
        )

    @property
    def folder(self) -> Path:
        """Where the search is, or will be."""
        return self.project.searches(self.attribute) / identity_of(self.identity)

    @property
    def finished(self) -> bool:
        """Whether its result is there; ``result.json`` is written last."""
        return (self.folder / "result.json").exists()

    def make_newest(self) -> None:
        """Let reports and grafts, which take the newest result, take this one: it is what was asked for last."""
        if self.project.results(self.attribute)[-1] != self.folder:
            path = self.folder / "result.json"
            number = self.project.next_in_sequence(self.attribute, self.folder)
            write_json(path, {**read_json(path), "sequence": number})


def about_features(table: FeaturesTable) -> dict[str, Any]:
    """Views and storage where they are not the default, so that searches from before there were any stay current."""
    usual = FeaturesTable()
    given = {"views": list(table.views), "storage": table.storage}
    return {key: value for key, value in given.items() if value not in (list(usual.views), usual.storage)}
