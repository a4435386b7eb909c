"""One image of a request on its way: its views are scored one by one, and it is answered when the last one is."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from deployment.serve.batching import Floats
from deployment.serve.persons import View


class Scored(NamedTuple):
    """One view of a picture: where it is (empty for the whole), and {attribute: scores (values,)}."""

    place: dict[str, Any]
    scores: dict[str, Floats]


class Picture:
    """Waits for the scores of all its views; but for `see`, called in the event loop only."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.answer: asyncio.Future[list[Scored]] = loop.create_future()
        self._views: Sequence[View] = ()
        self._scores: dict[int, dict[str, Floats]] = {}

    def see(self, views: Sequence[View]) -> "list[Part]":
        """These are the views; returns who waits for the scores of each."""
        self._views = views
        return [Part(self, number) for number in range(len(views))]

    def put(self, number: int, scores: dict[str, Floats]) -> None:
        """The scores of one view."""
        self._scores[number] = scores
        self.finish()

    def finish(self) -> None:
        """Answer, when nothing is missing."""
        if len(self._scores) == len(self._views) and not self.answer.done():
            found = [Scored(view.place, self._scores[number]) for number, view in enumerate(self._views)]
            self.answer.set_result(found)

    def fail(self, error: BaseException) -> None:
        """Nothing will come of it."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Part(NamedTuple):
    """What the batcher gives the scores of one view to, as if it were a future."""

    picture: Picture
    number: int

    def done(self) -> bool:
        """Whether nobody waits any more."""
        return self.picture.answer.done()

    def set_result(self, scores: dict[str, Floats]) -> None:
        """As a future's."""
        self.picture.put(self.number, scores)

    def set_exception(self, error: BaseException) -> None:
        """As a future's."""
        self.picture.fail(error)
