"""Long-lived Ray Tune sessions that ask one board for configurations.

A fresh Tune trial costs seconds and a fold's quantized matrix as much as fifty trees, so a
*session* is one Tune trial that keeps its rows and matrices and evaluates many configurations. The
rows lie in the object store once; a session maps them. The board is an actor beside the driver; its
state is `Board`, which holds all the rules.

**Faults.** A session whose process dies is started again by Tune and gets the configuration it owes
once more. One that hangs is killed by the board. When the search is over, Tune is told to stop, so
nobody waits for a session that is just being started again.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenfold.canonical import canonical_json
from tenfold.errors import StoreError
from tenfold.training.board import LAG, WAIT, Board, Tried
from tenfold.training.evaluate import Config, Outcome, evaluate
from tenfold.training.journal import (
    Journal,
    config_of,
    config_to_dict,
    outcome_of,
    outcome_to_dict,
)

if TYPE_CHECKING:
    from tenfold.training.search import Limits, Material, OnTried

__all__ = ["reason_of", "run_sessions"]

TUNE_FOLDER = "sessions"
MAX_SESSION_FAILURES = 30
"""Deaths that Tune forgives a session; then it is given up and what it owed counts as failed."""
BOARD_CALL_TIMEOUT_S = 24 * 3600.0
"""An ask may wait for the slowest configuration under way; the board ends those that hang."""
KILL_AFTER_S = 2.0
"""A configuration that does not stop when it is asked to is killed after this."""
RESTART_S = 600.0
"""In which a session whose process died must be back; on a full cluster it waits for a place."""
MEMORY_SIGNS = ("running low on memory", "OutOfMemory", "MemoryError", "memory pressure")
"""What Ray writes when its memory monitor killed a worker."""


def run_sessions(
    material: Material,
    limits: Limits,
    *,
    left_s: float | None,
    storage: Path,
    journal: Journal,
    on_tried: OnTried,
) -> list[Tried]:
    """Search on the connected Ray until the board says that it is over.

    Args:
        material: put into the object store here, once.
        limits: how wide; trials.
        left_s: seconds until the last fits must be over, or None.
        storage: for Tune's own files, reachable from every node.
        journal: what was done so far, the baseline included; the board writes on.
        on_tried: see `tenfold.training.search`.

    Returns:
        Everything that has an outcome.

    Raises:
        StoreError: the journal cannot be written.
    """
    import ray

    shutil.rmtree(storage / TUNE_FOLDER, ignore_errors=True)  # of a run that was killed
    shared = ray.put(material)
    board = _actor().remote(material.question, limits, left_s, journal)
    listener = uuid.uuid4().hex
    _HEARING[listener] = on_tried
    try:
        asked = {**material.placement.resources(), "CPU": limits.cpus}
        _tune(
            [shared],
            limits,
            asked,
            nodes=material.placement.nodes,
            storage=storage,
            board=board,
            listener=listener,
        )
        tried, fault = ray.get(board.state.remote(), timeout=BOARD_CALL_TIMEOUT_S)
        if fault is not None:
            raise StoreError(fault)
        found: list[Tried] = tried
        return found
    finally:
        del _HEARING[listener]
        ray.kill(board)


def _tune(
    shared: list[Any],
    limits: Limits,
    asked: dict[str, float],
    *,
    nodes: Mapping[str, str],
    storage: Path,
    board: Any,
    listener: str,
) -> None:
    from ray import tune

    sessions = limits.sessions if limits.seconds is not None else min(limits.sessions, LAG)
    if limits.trials is not None:
        # A session without a trial would cost 2 s of a CPU that the others could use.
        sessions = min(sessions, limits.trials)
    sessions = max(1, sessions)
    trainable = tune.with_resources(
        tune.with_parameters(_session, shared=shared, board=board),
        tune.PlacementGroupFactory([asked], bundle_label_selector=[dict(nodes)]),
    )
    tuner = tune.Tuner(
        trainable,
        param_space={"session": tune.grid_search(list(range(sessions)))},
        tune_config=tune.TuneConfig(max_concurrent_trials=sessions),
        run_config=tune.RunConfig(
            name=TUNE_FOLDER,
            storage_path=str(storage),
            verbose=0,
            stop=_stopper(board.watch.remote()),
            failure_config=tune.FailureConfig(max_failures=MAX_SESSION_FAILURES),
            callbacks=[_callback(board, listener)],
        ),
    )
    tuner.fit()


def _session(config: Mapping[str, Any], *, shared: list[Any], board: Any) -> None:
    """One long-lived Tune trial."""
    import ray
    from ray import tune

    from tenfold.training.search import until

    material = ray.get(shared[0])
    work = material.workspace(placement=material.placement)
    name, me = _session_name(config), ray.get_runtime_context().current_actor
    while True:
        asked, seconds = ray.get(board.ask.remote(name, me), timeout=BOARD_CALL_TIMEOUT_S)
        if asked is None:
            return
        outcome = evaluate(work, asked, stop=until(seconds))
        ray.get(board.tell.remote(outcome), timeout=BOARD_CALL_TIMEOUT_S)
        tune.report({"told": _to_text(asked, outcome)})


def _session_name(config: Mapping[str, Any]) -> str:
    return f"session-{config['session']}"


def _to_text(config: Config, outcome: Outcome) -> str:
    body = {"config": config_to_dict(config), "outcome": outcome_to_dict(outcome)}
    return canonical_json(body).decode()


def _tried_of(text: str) -> Tried:
    body = json.loads(text)
    return Tried(config_of(body["config"]), outcome_of(body["outcome"]))


def _stopper(over: Any) -> Any:
    import ray
    from ray import tune

    class Over(tune.Stopper):  # type: ignore[misc, unused-ignore]
        """Ends Tune's loop when the board says that the search is over."""

        def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
            return False

        def stop_all(self) -> bool:
            return bool(ray.wait([over], timeout=0)[0])

    return Over()


_HEARING: dict[str, OnTried] = {}
"""Who listens to the searches of this process. Tune pickles its callbacks into its state file, and
a listener may hold a terminal: so a callback has the name of its listener only."""


def _hear(listener: str, text: str) -> None:
    if listener in _HEARING:
        _HEARING[listener](_tried_of(text))


def _callback(board: Any, listener: str) -> Any:
    from ray import tune

    class Told(tune.Callback):  # type: ignore[misc, unused-ignore]
        """Passes each outcome on, in the driver's thread, and tells the board of dead sessions."""

        def on_trial_result(
            self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any
        ) -> None:
            if "told" in result:
                _hear(listener, result["told"])

        def on_trial_recover(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            board.explain.remote(_session_name(trial.config), reason_of(_error_of(trial)))

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            board.drop.remote(_session_name(trial.config), reason_of(_error_of(trial)))

    return Told()


def _error_of(trial: Any) -> str:
    """What Tune wrote of the newest error of a trial, or nothing."""
    try:
        return Path(str(trial.error_file)).read_text().rpartition("Failure #")[2]
    except (OSError, TypeError):
        return ""


def reason_of(text: str) -> str:
    """Why a session's process ended, from Ray's own words.

    >>> reason_of("Task was killed due to the node running low on memory.")
    'its process was killed: the machine ran out of memory'
    """
    if any(sign in text for sign in MEMORY_SIGNS):
        return "its process was killed: the machine ran out of memory"
    return "its process died: killed by the system (memory, most often), or a crash in native code"


class BoardActor:
    """The board behind Ray: an ask waits until there is something to do.

    Asynchronous methods of one event loop, so `Board` has one owner.
    """

    def __init__(
        self, question: Any, limits: Limits, left_s: float | None, journal: Journal
    ) -> None:
        self._board: Board = limits.board(question, journal)
        self._changed = asyncio.Condition()
        self._end = None if left_s is None else time.monotonic() + left_s
        self._due: dict[int, float] = {}
        self._actors: dict[int, Any] = {}
        self._over = False
        self._fault: str | None = None

    def _look_at_the_clock(self) -> float | None:
        left = None if self._end is None else max(0.0, self._end - time.monotonic())
        self._board.left_s = left
        return self._board.search_left_s

    async def ask(self, session: str, actor: Any) -> tuple[Config | None, float | None]:
        """The next configuration and the seconds it may use, or None when the search is over."""
        from tenfold.training.search import allowed_s

        async with self._changed:
            while True:
                left = self._look_at_the_clock()
                config = self._guarded(lambda: self._board.ask(session))
                if isinstance(config, Config):
                    allowed = allowed_s(left, config)
                    self._watch_over(config, allowed, actor)
                    self._changed.notify_all()
                    return config, allowed
                if config != WAIT:
                    self._over = True
                    self._changed.notify_all()
                    return None, None
                await self._changed.wait()

    def _watch_over(self, config: Config, allowed: float | None, actor: Any) -> None:
        limit = self._board.limit_s(config)
        if allowed is not None:
            limit = min(limit, allowed + KILL_AFTER_S)
        self._due[config.number] = time.monotonic() + limit
        self._actors[config.number] = actor

    async def tell(self, outcome: Outcome) -> None:
        """Takes an outcome and wakes whoever waits."""
        async with self._changed:
            self._guarded(lambda: self._board.tell(outcome))
            self._changed.notify_all()

    def _guarded(self, work: Callable[[], Any]) -> Any:
        """A journal that cannot be written ends the search; the driver will say why."""
        if self._fault is not None:
            return None
        try:
            return work()
        except StoreError as error:
            self._fault, self._over = str(error), True
            return None

    async def explain(self, session: str, reason: str) -> None:
        """Says why a session's process ended; it will come back, and until then what it owes does
        not hang."""
        async with self._changed:
            self._board.explain(session, reason)
            left = self._look_at_the_clock()
            patience = RESTART_S if left is None else min(RESTART_S, left + KILL_AFTER_S)
            for number in self._board.owed_by(session):
                self._due[number] = time.monotonic() + patience
            self._changed.notify_all()

    async def drop(self, session: str, reason: str) -> None:
        """Gives up a session that will not come back."""
        async with self._changed:
            self._board.explain(session, reason)
            self._guarded(lambda: self._board.drop(session))
            self._changed.notify_all()

    async def watch(self) -> None:
        """Kills what hangs; returns when the search is over and nothing is under way."""
        async with self._changed:
            while True:
                self._end_what_hangs()
                left = self._look_at_the_clock()
                late = left is not None and left <= 0.0
                if self._fault or ((self._over or late) and not self._board.under_way):
                    return
                due = [self._due[config.number] for config in self._board.under_way]
                waits = [moment - time.monotonic() for moment in due]
                if left is not None and not late:
                    waits.append(left)
                await self._wait(min(waits, default=None))

    async def _wait(self, seconds: float | None) -> None:
        """For a change, or for some seconds."""
        try:
            await asyncio.wait_for(self._changed.wait(), None if seconds is None else seconds)
        except TimeoutError:
            return

    def _end_what_hangs(self) -> None:
        import ray

        now = time.monotonic()
        self._look_at_the_clock()
        for config in self._board.under_way:
            if now >= self._due[config.number]:
                self._guarded(partial(self._board.give_up, config.number))
                ray.kill(self._actors.pop(config.number))
                self._changed.notify_all()

    async def state(self) -> tuple[list[Tried], str | None]:
        """What has an outcome, and what ended the search before its time."""
        return self._board.tried, self._fault


def _actor() -> Any:
    """On the driver's node, where the journal is, and which the search cannot outlive anyway."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, max_concurrency=1000, scheduling_strategy=here)(BoardActor)
