"""One child at a time, every start with an end in the journal, whatever happens between."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import event

from tenfold.settings import Settings
from tenfold.state import Journal, open_state
from tenfold_serve.retraining import Retraining, RetrainResult

RECORD = (
    '{"version": 2, "alias": "champion", "digest": "d", "window": "tail", "rows": 900, '
    '"metrics": {"roc_auc": 0.9}, "gates": [], "seconds": 3, "reason": "it is better"}'
)


class Scene:
    def __init__(self, settings: Settings) -> None:
        self.folder = settings.keeper
        state = open_state(settings)
        self.engine = state.engine
        self.journal: Journal = state.journal

    def make(self, code: str, *, project: str = "mixed") -> Retraining:
        return Retraining(
            project,
            path=Path("project.yaml"),
            folder=self.folder,
            journal=self.journal,
            command=[sys.executable, "-c", code],
        )

    def rows(self, project: str = "mixed") -> list[tuple[str, str]]:
        return [(row.kind, row.body["reason"]) for row in self.journal.tail(project, 100)]


@pytest.fixture
def scene(settings: Settings) -> Scene:
    return Scene(settings)


def wait(retraining: Retraining) -> RetrainResult:
    """Polls as the supervisor does."""
    deadline = time.monotonic() + 120  # it gives way to all others
    while time.monotonic() < deadline:
        result = retraining.poll()
        if result is not None:
            return result
        time.sleep(0.01)
    raise TimeoutError("the child did not end")


def await_end(sign: Path) -> None:
    """Wait for the child that wrote its number there, and leave its end to be looked at."""
    deadline = time.monotonic() + 20
    while not (sign.exists() and sign.read_text()) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.waitid(os.P_PID, int(sign.read_text()), os.WEXITED | os.WNOWAIT)


def test_a_retrain_gives_way_to_answers(scene: Scene) -> None:
    """Its priority is lowered right after its start, so the child looks until it is."""
    look = f"""
import json, os, time
def niceness():
    return os.getpriority(os.PRIO_PROCESS, 0)
end = time.monotonic() + 20
while niceness() < 10 and time.monotonic() < end:
    time.sleep(0.01)
print(json.dumps({{**json.loads('''{RECORD}'''), "niceness": niceness()}}))
"""
    retraining = scene.make(look)
    retraining.start("harm is proven")
    record = wait(retraining).record
    assert record is not None and record["niceness"] >= 10


def test_a_result_comes_once_and_its_kept_parts_are_journaled(scene: Scene) -> None:
    retraining = scene.make(f"print('''{RECORD}''')")
    assert not retraining.is_running
    assert retraining.poll() is None
    retraining.start("harm is proven")
    assert retraining.is_running
    result = wait(retraining)
    assert result.reason == "it is better"
    assert result.record is not None
    assert result.record["seconds"] == 3
    assert not retraining.is_running
    assert retraining.poll() is None
    assert scene.rows() == [
        ("retrain_started", "harm is proven"), ("retrain_done", "it is better"),
    ]  # fmt: skip
    assert scene.journal.tail("mixed", 1)[0].body == {
        "reason": "it is better",
        "version": 2,
        "alias": "champion",
        "digest": "d",
        "window": "tail",
        "rows": 900,
        "metrics": {"roc_auc": 0.9},
        "gates": [],
    }


def test_a_missed_gate_is_a_result(scene: Scene) -> None:
    retraining = scene.make("print('{\"version\": 3}'); raise SystemExit(3)")
    retraining.start("why")
    result = wait(retraining)
    assert result == RetrainResult({"version": 3}, "version 3 was trained")
    assert scene.rows()[-1] == ("retrain_done", "version 3 was trained")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import sys; sys.exit('no rows')", "the command ended with 1: no rows"),
        ("raise SystemExit(2)", "the command ended with 2: it said nothing"),
        ("pass", "the command ended with 0: it said nothing"),
        ("print('not json')", "the command ended with 0: it said nothing"),
        ("print('[1]')", "the command ended with 0: it said nothing"),
        (f"print('''{RECORD}'''); raise SystemExit(1)", "the command ended with 1: it said"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "the command ended with -9:"),
        (
            "import sys; sys.stderr.buffer.write(b'\\xff' + b'x' * 5000); sys.exit(1)",
            "the command ended with 1: " + "x" * 1000,
        ),
    ],
)
def test_whatever_is_no_result_is_a_failure_with_its_last_words(
    scene: Scene, code: str, reason: str
) -> None:
    retraining = scene.make(code)
    retraining.start("why")
    result = wait(retraining)
    assert result.record is None
    assert result.reason.startswith(reason)
    assert scene.rows() == [("retrain_started", "why"), ("retrain_failed", result.reason)]
    assert retraining.counts() == {"done": 0, "failed": 1}


def test_a_second_start_waits_for_the_first_to_end(scene: Scene) -> None:
    retraining = scene.make("import time; time.sleep(600)")
    retraining.start("first")
    retraining.start("second")
    assert retraining.poll() is None
    retraining.stop()
    assert scene.rows() == [
        ("retrain_started", "first"),
        ("retrain_failed", "interrupted: the keeper was stopped"),
    ]
    assert not retraining.is_running
    retraining.start("third")
    assert retraining.is_running
    retraining.stop()
    assert retraining.counts() == {"done": 0, "failed": 2}


@pytest.mark.parametrize(
    ("code", "end"),
    [
        (0, ("retrain_done", "it is better")),
        (3, ("retrain_done", "it is better")),
        (1, ("retrain_failed", "the command ended with 1: it said nothing")),
    ],
)
def test_a_child_that_ended_before_the_stop_was_not_interrupted(
    scene: Scene, tmp_path: Path, code: int, end: tuple[str, str]
) -> None:
    sign = tmp_path / "sign"
    retraining = scene.make(
        f"import os; print('''{RECORD}''')\n"
        f"open({str(sign)!r}, 'w').write(str(os.getpid())); raise SystemExit({code})"
    )
    retraining.start("why")
    await_end(sign)
    retraining.stop()
    retraining.stop()
    assert scene.rows()[1:] == [end]
    assert not retraining.is_running


def test_stopping_what_does_not_run_says_nothing(scene: Scene) -> None:
    scene.make("pass").stop()
    assert scene.rows() == []


def test_each_start_begins_with_empty_files(scene: Scene) -> None:
    first = scene.make(f"print('''{RECORD}''')")
    first.start("one")
    wait(first)
    second = scene.make("pass")
    second.start("two")
    assert wait(second).record is None


def test_an_open_start_is_closed_once_and_by_its_own_project_only(scene: Scene) -> None:
    retraining = scene.make("pass")
    retraining.resume()
    assert scene.rows() == []
    scene.journal.append("mixed", "retrain_started", {"reason": "a keeper that was killed"})
    scene.journal.append("other", "retrain_started", {"reason": "elsewhere"})
    for _ in range(2):
        retraining.resume()
    interrupted = ("retrain_failed", "interrupted: the keeper stopped before it ended")
    assert scene.rows()[1:] == [interrupted]
    assert scene.rows("other") == [("retrain_started", "elsewhere")]


@pytest.mark.parametrize("end", ["retrain_done", "retrain_failed"])
def test_a_start_that_has_its_end_is_left_alone(scene: Scene, end: str) -> None:
    scene.journal.append("mixed", "retrain_started", {"reason": "r"})
    scene.journal.append("mixed", end, {"reason": "r"})
    scene.journal.append("mixed", "decision", {"reason": "r"})
    scene.make("pass").resume()
    assert len(scene.rows()) == 3


def test_starts_are_told_oldest_first_for_the_cooldown(scene: Scene) -> None:
    assert scene.make("pass").starts_s() == ()
    before = time.time()
    for reason in ("one", "two", "three"):
        scene.journal.append("mixed", "retrain_started", {"reason": reason})
    found = scene.make("pass").starts_s()
    assert len(found) == 3
    assert list(found) == sorted(found)
    assert before - 1 <= found[0] <= found[-1] <= time.time() + 1


def test_the_journal_is_asked_only_when_a_retrain_began_or_ended(scene: Scene) -> None:
    """The supervisor asks every second; the journal grows for years."""
    retraining = scene.make("pass")
    asked: list[str] = []
    event.listen(
        scene.engine, "before_cursor_execute", lambda *args: asked.append(args[2].lstrip()[:6])
    )

    def look() -> tuple[int, dict[str, int]]:
        asked.clear()
        return len(retraining.starts_s()), retraining.counts()

    assert look() == (0, {"done": 0, "failed": 0})
    assert len(asked) == 3
    assert look() == (0, {"done": 0, "failed": 0})
    assert asked == []
    retraining.start("why")
    assert look() == (1, {"done": 0, "failed": 0})
    wait(retraining)
    assert look() == (1, {"done": 0, "failed": 1})
    assert look() == (1, {"done": 0, "failed": 1})
    assert asked == []


def test_the_command_is_the_jobs_wings_own(scene: Scene) -> None:
    """Without a command of the test's: an absent project file ends it, before anything heavy."""
    made = Retraining(
        "mixed", path=scene.folder / "absent.yaml", folder=scene.folder, journal=scene.journal
    )
    made.start("why")
    result = wait(made)
    assert result.record is None
    assert "absent.yaml" in result.reason
    assert result.reason.startswith("the command ended with 2: ")
