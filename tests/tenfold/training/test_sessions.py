"""What sessions share, and what the board's actor promises them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from tenfold.errors import StoreError
from tenfold.training.evaluate import Config, Outcome
from tenfold.training.journal import MemoryJournal
from tenfold.training.search import Limits, Material
from tenfold.training.sessions import BoardActor, reason_of

MakeMaterial = Callable[..., Material]


@pytest.mark.usefixtures("ray_session")
@pytest.mark.timeout(120)
def test_rows_are_put_once_and_mapped_without_a_copy(make_material: MakeMaterial) -> None:
    import ray

    def look(shared: list[object]) -> tuple[list[tuple[bool, bool]], int]:
        rows = ray.get(shared[0]).workspace().rows
        arrays = (rows.codes, rows.truth, rows.fold, rows.position, rows.hashes)
        return [(a.flags.owndata, a.flags.writeable) for a in arrays], rows.n_rows

    material = make_material(n_rows=20_000)
    found, n_rows = ray.get(ray.remote(look).remote([ray.put(material)]))
    assert found == [(False, False)] * 5
    assert n_rows == material.rows.n_rows


def test_matrices_of_a_fold_are_kept_between_configurations(make_material: MakeMaterial) -> None:
    from tenfold.training.evaluate import evaluate

    work, seen = make_material().workspace(), []
    for number, eta in enumerate((0.1, 0.2)):
        evaluate(work, Config(number, "boosting", {"eta": eta, "max_depth": 2, "rounds": 3}))
        kept = [data.cache for data in work._prepared.values()]
        assert len(kept) == len(work.question.folds)
        assert all(len(cache) == 1 for cache in kept)
        seen.append({id(cache[next(iter(cache))][0]) for cache in kept})
    assert seen[0] == seen[1]


def actor(material: Material, left_s: float | None, **limits: object) -> BoardActor:
    found = {"trials": None, "seconds": left_s, **limits}
    return BoardActor(material.question, Limits(**found), left_s, MemoryJournal())  # type: ignore[arg-type]


def scored(config: Config) -> Outcome:
    oof = np.zeros((1, 2), np.float32)
    return Outcome(config.number, 0.5, (0.5,) * 3, oof=oof, seconds=0.01, early=(0.5,) * 3)


def test_the_watch_ends_when_nothing_is_left_to_do(make_material: MakeMaterial) -> None:
    async def play() -> list[int]:
        board = actor(make_material(), None, trials=2)
        watch = asyncio.ensure_future(board.watch())
        numbers = []
        while (config := (await board.ask("s", None))[0]) is not None:
            assert not watch.done()
            numbers.append(config.number)
            await board.tell(scored(config))
        await asyncio.wait_for(watch, 10)
        return numbers

    assert asyncio.run(play()) == [0, 1, 2]


def test_the_watch_ends_with_the_clock_when_no_session_ever_came(
    make_material: MakeMaterial,
) -> None:
    """A full cluster gives no session a place: the search must still end."""

    async def play() -> None:
        await asyncio.wait_for(actor(make_material(), 0.05).watch(), 10)

    asyncio.run(play())


def test_an_ask_waits_where_order_is_law_and_wakes(make_material: MakeMaterial) -> None:
    async def play() -> Config | None:
        board = actor(make_material(families=("boosting",)), None, trials=40)
        first = (await board.ask("first", None))[0]
        assert first is not None
        for number in range(7):
            await board.ask(f"s{number}", None)
        late = asyncio.ensure_future(board.ask("late", None))
        await asyncio.sleep(0)
        assert not late.done()
        await board.tell(scored(first))
        return (await asyncio.wait_for(late, 10))[0]

    config = asyncio.run(play())
    assert config is not None
    assert config.number == 8


class Full(MemoryJournal):
    """A journal on a disk that takes one event and no more."""

    n_left = 1

    def add(self, event: object) -> None:
        self.n_left -= 1
        if self.n_left < 0:
            raise StoreError("the disk under /store is full")


def test_a_full_disk_ends_the_search_and_says_so(make_material: MakeMaterial) -> None:
    async def play() -> str | None:
        material = make_material()
        board = BoardActor(material.question, Limits(9, None), None, Full())
        watch = asyncio.ensure_future(board.watch())
        config = (await board.ask("s", None))[0]
        assert config is not None
        await board.tell(scored(config))
        assert (await board.ask("s", None))[0] is None
        await asyncio.wait_for(watch, 10)
        return (await board.state())[1]

    assert asyncio.run(play()) == "the disk under /store is full"


@pytest.mark.parametrize(
    ("text", "memory"),
    [
        ("ray.exceptions.OutOfMemoryError: Task was killed due to the node running low", True),
        ("the node running low on memory. Memory on the node was 15GB / 16GB", True),
        ("Worker exit type: SYSTEM_ERROR Worker exit detail: connection error code 2", False),
        ("", False),
    ],
)
def test_what_ray_says_of_a_death_becomes_a_reason(text: str, memory: bool) -> None:
    assert ("ran out of memory" in reason_of(text)) is memory
