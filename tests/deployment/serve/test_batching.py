"""Batches across requests: what is run together, who waits for whom, and what a failure costs."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import numpy as np
import pytest

from deployment.serve.batching import Batcher, Floats, Job
from deployment.serve.loading import LoadedBundle
from deployment.serve.metrics import Metrics


class Model:
    """Answers with the first pixel of each image, once it is let; remembers every batch."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, tuple[str, ...]]] = []
        self.let = threading.Event()
        self.let.set()
        self.entered = threading.Event()

    def scores(self, images: Floats, attributes: Sequence[str]) -> dict[str, Floats]:
        self.entered.set()
        assert self.let.wait(10)
        self.batches.append((len(images), tuple(attributes)))
        if (images < 0).any():
            raise RuntimeError("no negative images")
        return dict.fromkeys(attributes, images[:, :2, 0, 0])


def run(play: Callable[[Batcher, Model], Awaitable[None]], *, max_batch: int = 4, max_delay: float = 0.0) -> Model:
    model = Model()

    async def stage() -> None:
        batcher = Batcher(asyncio.get_running_loop(), Metrics(), max_batch=max_batch, max_delay=max_delay)
        try:
            await play(batcher, model)
        finally:
            model.let.set()
            await asyncio.to_thread(batcher.close)
        assert not batcher.alive

    asyncio.run(stage())
    return model


def job(model: Model, value: float, *attributes: str) -> Any:
    answer = asyncio.get_running_loop().create_future()
    image = np.full((3, 2, 2), value, dtype=np.float32)
    return Job(cast(LoadedBundle, model), attributes or ("bald",), answer, image)


async def held(batcher: Batcher, model: Model) -> Any:
    """A job that keeps the model busy until `model.let` is set."""
    model.let.clear()
    first = job(model, 0)
    batcher.submit(first)
    await asyncio.to_thread(model.entered.wait, 10)
    return first


def test_what_waits_while_the_model_is_busy_is_run_together_up_to_the_limit() -> None:
    async def play(batcher: Batcher, model: Model) -> None:
        first = await held(batcher, model)
        others = [job(model, number) for number in range(1, 7)]
        for one in others:
            batcher.submit(one)
        model.let.set()
        answers = await asyncio.gather(first.answer, *(one.answer for one in others))
        assert [float(answer["bald"][0]) for answer in answers] == list(range(7))

    assert [size for size, _ in run(play).batches] == [1, 4, 2]


def test_everybody_gets_the_attributes_asked_for_from_one_run() -> None:
    async def play(batcher: Batcher, model: Model) -> None:
        await held(batcher, model)
        jobs = [job(model, 1, "bald", "hat"), job(model, 2, "gender"), job(model, 3, "bald")]
        for one in jobs:
            batcher.submit(one)
        model.let.set()
        answers = await asyncio.gather(*(one.answer for one in jobs))
        assert [list(answer) for answer in answers] == [["bald", "hat"], ["gender"], ["bald"]]

    assert run(play).batches[1] == (3, ("bald", "hat", "gender"))


def test_images_of_two_bundles_are_not_mixed() -> None:
    other = Model()

    async def play(batcher: Batcher, model: Model) -> None:
        await held(batcher, model)
        jobs = [job(which, 1) for which in (model, model, other, model)]
        for one in jobs:
            batcher.submit(one)
        model.let.set()
        await asyncio.gather(*(one.answer for one in jobs))

    assert [size for size, _ in run(play).batches] == [1, 2, 1]
    assert [size for size, _ in other.batches] == [1]


def test_the_model_waits_for_an_image_that_is_being_decoded_and_for_none_else() -> None:
    async def play(batcher: Batcher, model: Model) -> None:
        batcher.expect(2)
        first, second = job(model, 1), job(model, 2)
        batcher.submit(first)
        batcher.expect(-1)
        await asyncio.sleep(0.05)
        assert not model.batches
        batcher.submit(second)
        batcher.expect(-1)
        await asyncio.gather(first.answer, second.answer)
        alone = job(model, 3)
        batcher.submit(alone)
        await alone.answer

    assert [size for size, _ in run(play, max_delay=3600.0).batches] == [2, 1]


def test_the_wait_ends_after_the_longest_delay() -> None:
    async def play(batcher: Batcher, model: Model) -> None:
        batcher.expect(1)
        alone = job(model, 1)
        batcher.submit(alone)
        await asyncio.wait_for(alone.answer, 10)

    assert len(run(play, max_delay=0.01).batches) == 1


def test_a_failed_run_fails_its_own_requests_only() -> None:
    async def play(batcher: Batcher, model: Model) -> None:
        bad = job(model, -1)
        batcher.submit(bad)
        with pytest.raises(RuntimeError, match="no negative images"):
            await bad.answer
        good = job(model, 1)
        batcher.submit(good)
        assert float((await good.answer)["bald"][0]) == 1

    assert len(run(play).batches) == 2


def test_who_gave_up_is_not_run() -> None:
    async def play(batcher: Batcher, model: Model) -> None:
        first = await held(batcher, model)
        gone = job(model, 1)
        batcher.submit(gone)
        gone.answer.cancel()
        model.let.set()
        await first.answer

    assert [size for size, _ in run(play).batches] == [1]
