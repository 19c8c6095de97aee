"""The shadow, in this process: every row of the log is scored once, refused, or dropped."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

from tenfold.errors import ArtifactError, StoreError
from tenfold.inference import Predictor
from tenfold.live import log_tables, read_log, shadow_table
from tenfold.registry import Registry, Version
from tenfold.settings import Settings
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tenfold_serve.answers import Entry
from tenfold_serve.arms import load_arm
from tenfold_serve.committer import Committer
from tenfold_serve.lineups import arm_of
from tenfold_serve.log_table import LogTable
from tenfold_serve.prediction_log import write_segment
from tenfold_serve.shadow import ShadowScorer
from tenfold_serve.shadow_config import ShadowConfig
from tenfold_serve.shadow_pair import SHADOW_SCHEMA
from tenfold_serve.spool import frame, segment_name, spool_folder
from tests.tenfold_serve.support import Publish, make_artifact, segment_tables

AT_MS = 1_700_000_000_000
ODD = ["", " ", "NA", "null", " red", "None", "nan", "?", "red\n", "\u00e9"]
"""Categories that a file's reader would trim or take for missing, and an endpoint does not."""


class Scene:
    """A log that grows, and shadows that follow it."""

    def __init__(self, settings: Settings, champion: Version, challenger: Version) -> None:
        self.live = settings.live
        self.config = ShadowConfig(
            project="mixed",
            live=settings.live,
            told=settings.keeper / "shadow-mixed.json",
            since_ms=1,
            challenger=arm_of("challenger", challenger),
            champion=arm_of("champion", champion),
        )
        self.answered = 0
        self._segments = 0

    def shadow(self, **more: Any) -> ShadowScorer:
        scorer = ShadowScorer(self.config, **{"share": 0.02} | more)
        scorer.start()
        return scorer

    def answer(
        self,
        n_rows: int = 30,
        *,
        arm: str = "champion",
        config: dict[str, Any] | None = None,
        rows: list[dict[str, Any]] | None = None,
        spoil: Callable[[Entry], Entry] = lambda entry: entry,
    ) -> Entry:
        """The champion answers, and the log takes it."""
        model = load_arm({**(config or dict(self.config.champion)), "arm": arm})
        rows = rows or json_rows(mixed_schema(), mixed_table(n_rows, seed=self._segments))
        codes = model.encoder.encode_rows(rows)
        found = model.predictor.predict_codes(codes)
        ids = [f"i{self.answered + k}" for k in range(len(rows))]
        entry = spoil(Entry(ids, rows, codes, found.scores, found.values, model, AT_MS))
        self.answered += len(rows)
        self._write("predictions", segment_tables([entry], replica="r"))
        return entry

    def label(self, ids: list[str], *values: str) -> None:
        moment = "2023-11-14T22:14:00+00:00"
        record = {"observed_at": moment, "received_at": moment, "source": "t"}
        frames = [
            frame(orjson.dumps({"id": one, "label": value, **record}))
            for one, value in zip(ids, values, strict=True)
        ]
        self._write("labels", frames)

    def _write(self, kind: str, what: list[Any]) -> None:
        self._segments += 1
        path = spool_folder(self.live, "mixed") / segment_name(kind, "a.1", self._segments)
        if kind == "labels":
            path.write_bytes(b"".join(what))
        else:
            write_segment(path, what)
        committed = Committer(self.live, "mixed").commit()
        assert not committed.troubles

    def rows(self) -> pa.Table:
        found = read_log(shadow_table(self.live, "mixed"))
        assert found is not None
        return found.sort_by("__id")

    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.config.told.read_bytes())
        return found

    def counts(self) -> tuple[int, int, int]:
        told = self.told()
        return told["rows"], told["dropped_rows"], told["refused_rows"]


@pytest.fixture
def pair(publish: Publish) -> tuple[Version, Version]:
    return publish(0, promote=True), publish(1)


@pytest.fixture
def scene(settings: Settings, pair: tuple[Version, Version]) -> Scene:
    return Scene(settings, *pair)


def test_rows_are_scored_beside_their_ids_as_the_challenger_would_answer(
    scene: Scene, pair: tuple[Version, Version]
) -> None:
    shadow = scene.shadow()
    entry = scene.answer(40)
    assert shadow.round() == 40
    expected = Predictor.load(pair[1].path).predict_rows(entry.rows)  # type: ignore[arg-type]
    by_id = {row["__id"]: row for row in scene.rows().to_pylist()}
    rows = [by_id[one] for one in entry.ids]
    assert [row["__scores"] for row in rows] == expected.scores.tolist()
    assert [row["__value"] for row in rows] == list(expected.values)
    assert [row["__champion_value"] for row in rows] == list(entry.values)
    gap = np.abs(expected.scores - entry.scores).sum(axis=1) / 2
    assert [row["__gap"] for row in rows] == pytest.approx(gap.tolist())
    first = rows[0]
    assert (first["__version"], first["__champion"], first["__arm"]) == (2, 1, "shadow")
    assert first["__digest"] == pair[1].model_digest
    told = scene.told()
    changed = np.mean([a != b for a, b in zip(entry.values, expected.values, strict=True)])
    assert told["disagreement"] == {
        "rows": 40,
        "score_gap": pytest.approx(float(gap.mean())),
        "changed_ratio": pytest.approx(float(changed)),
    }
    assert told["row_s"]["p99"] >= told["row_s"]["p50"] > 0
    assert shadow.round() == 0
    assert scene.counts() == (40, 0, 0)


def test_the_same_model_answers_the_same_bits_whatever_the_cells_hold(
    settings: Settings, publish: Publish
) -> None:
    champion = publish(0, promote=True)
    scene = Scene(settings, champion, champion)
    rows = json_rows(mixed_schema(), mixed_table(2 * len(ODD)))
    for k, text in enumerate(ODD):
        rows[k]["color"] = text
        rows[len(ODD) + k]["city"] = text
    rows[0]["age"], rows[1]["amount"], rows[2]["amount"] = 2**53, 1e-320, -1.7e308
    shadow = scene.shadow()
    entry = scene.answer(rows=rows)
    assert shadow.round() == len(rows)
    found = {row["__id"]: row["__scores"] for row in scene.rows().to_pylist()}
    assert [found[one] for one in entry.ids] == entry.scores.tolist()
    assert scene.told()["disagreement"]["changed_ratio"] == 0.0


def test_it_starts_with_what_comes_next(scene: Scene) -> None:
    scene.answer(10)
    shadow = scene.shadow()
    scene.answer(5)
    assert shadow.round() == 5
    assert scene.counts() == (5, 0, 0)


def test_what_it_missed_while_it_was_away_is_counted(scene: Scene) -> None:
    scene.answer(10)
    scene.shadow().round()
    scene.answer(7)
    scene.answer(8)
    again = scene.shadow()
    scene.answer(3)
    assert again.round() == 3
    assert scene.counts() == (3, 15, 0)
    assert scene.told()["disagreement"]["rows"] == 3
    scene.config = dataclasses.replace(scene.config, since_ms=2)  # off, and on again
    scene.answer(50)
    scene.shadow()
    assert scene.counts() == (3, 15, 0)


def test_a_round_is_bounded_by_rows_and_the_rest_is_counted(scene: Scene) -> None:
    shadow = scene.shadow(max_rows=25)
    for _ in range(3):
        scene.answer(20)
    assert shadow.round() == 25
    assert scene.counts() == (25, 35, 0)
    assert len(set(scene.rows().column("__id").to_pylist())) == 25


def test_a_slow_challenger_is_stopped_in_time_and_the_rest_is_counted(scene: Scene) -> None:
    seconds = iter(range(0, 10_000, 4))  # every look at its time finds it four seconds later
    shadow = scene.shadow(cpu_s=lambda: float(next(seconds)), max_scoring_s=18.0)
    scene.answer(500)
    assert shadow.round() == 2  # one at a time; the third would begin after 20
    assert scene.counts() == (2, 498, 0)


def test_a_quick_challenger_is_scored_in_large_parts(scene: Scene) -> None:
    looks = iter(range(10_000))  # every look at its time finds it a millisecond later
    shadow = scene.shadow(cpu_s=lambda: next(looks) / 1e3, max_scoring_s=1.0)
    scene.answer(500)
    assert shadow.round() == 500
    n_parts = 1 + 1 + 8  # of 1, 50 and 64 rows
    assert next(looks) == pytest.approx(2 * n_parts, abs=5)
    assert scene.told()["row_s"]["p50"] > 0


def test_it_rests_until_it_took_no_more_than_its_share(scene: Scene) -> None:
    now = [0.0]
    shadow = scene.shadow(clock=lambda: now[0], share=0.05)

    def sleep(seconds: float) -> None:
        assert 0 < seconds <= 2.0  # it says every two seconds that it lives
        now[0] += seconds

    for spent_s, rests_s in ((0.0, 2.0), (0.1, 2.0), (0.5, 9.5), (8.0, 152.0)):
        began, beats = now[0], shadow.status()["beats"]
        shadow.rest(spent_s, while_=lambda: True, sleep=sleep)
        assert now[0] - began == pytest.approx(rests_s)
        assert shadow.status()["beats"] - beats == -(-rests_s // 2)
    shadow.rest(8.0, while_=lambda: False, sleep=sleep)
    assert now[0] == pytest.approx(2 + 2 + 9.5 + 152)


def test_rows_of_other_models_are_not_compared(scene: Scene, publish: Publish) -> None:
    third = publish(2)
    shadow = scene.shadow()
    scene.answer(6, arm="challenger", config=dict(scene.config.challenger))
    scene.answer(5, config=arm_of("champion", third))
    scene.answer(4)
    assert shadow.round() == 4
    assert scene.counts() == (4, 0, 0)


def test_cells_and_scores_that_are_none_are_refused_and_counted(scene: Scene) -> None:
    def spoil(entry: Entry) -> Entry:
        scores = [row.tolist() for row in entry.scores]
        return entry._replace(scores=np.array([[*row, 0.0] for row in scores]))

    shadow = scene.shadow()
    scene.answer(4, spoil=spoil)
    rows = json_rows(mixed_schema(), mixed_table(4))
    rows[2]["age"] = 2**63 - 1  # the float next to it has more than 64 bits
    scene.answer(rows=rows)
    assert shadow.round() == 3
    assert scene.counts() == (3, 0, 5)


def test_labels_that_come_later_make_a_paired_comparison(scene: Scene) -> None:
    now = [0.0]
    shadow = scene.shadow(clock=lambda: now[0])
    entry = scene.answer(300)
    shadow.round()
    assert scene.told()["paired"] is None
    now[0] = 100.0
    rows = {row["__id"]: row["__value"] for row in scene.rows().to_pylist()}
    scene.label(list(entry.ids), *(rows[one] for one in entry.ids))  # the challenger is right
    shadow.round()
    paired = scene.told()["paired"]
    wrong = np.mean([rows[i] != v for i, v in zip(entry.ids, entry.values, strict=True)])
    assert (paired["n_rows"], paired["new"]) == (300, 0.0)
    assert paired["old"] == pytest.approx(wrong)
    assert paired["lower"] <= wrong <= paired["upper"]


def test_a_commit_that_fails_drops_its_rows_and_says_so(scene: Scene) -> None:
    shadow = scene.shadow()
    folder = shadow_table(scene.live, "mixed")
    aside = folder.rename(folder.with_name("aside"))
    folder.write_text("in the way")
    scene.answer(6)
    with pytest.raises(StoreError):
        shadow.round()
    shadow.note("no room")
    assert scene.told()["trouble"] == "no room"
    folder.unlink()
    aside.rename(folder)
    scene.answer(2)
    assert shadow.round() == 2
    assert scene.counts() == (2, 6, 0)
    assert scene.told()["trouble"] == ""


def test_a_poisoned_challenger_is_refused_before_an_engine_sees_it(
    scene: Scene, pair: tuple[Version, Version]
) -> None:
    scene.answer(3)
    model = pair[1].path / "model.onnx"
    model.write_bytes(model.read_bytes()[::-1])
    with pytest.raises(ArtifactError):
        scene.shadow()
    assert scene.told()["state"] == "loading"
    scene.answer(9)
    with pytest.raises(ArtifactError):
        scene.shadow()
    known = LogTable(shadow_table(scene.live, "mixed")).known_numbers({"shadow.2.dropped"})
    assert known == {"shadow.2.dropped": 9}


def test_a_challenger_that_reads_more_than_the_log_has_is_refused(
    settings: Settings, scene: Scene, tmp_path: Path
) -> None:
    make_artifact(tmp_path / "wide", wide=True)
    wide = Registry(settings).publish("mixed", tmp_path / "wide")
    scene.config = dataclasses.replace(scene.config, challenger=arm_of("challenger", wide))
    with pytest.raises(ArtifactError, match="requests of the champion do not carry"):
        scene.shadow()


def test_numbers_have_a_distance_and_no_decision(settings: Settings, publish: Publish) -> None:
    first, second = publish(0, family="dummy", promote=True), publish(1, family="dummy")
    scene = Scene(settings, first, second)
    shadow = scene.shadow()
    rows = json_rows(mixed_schema(), mixed_table(5))
    scene.answer(rows=[{k: v for k, v in row.items() if k != "age"} for row in rows])
    assert shadow.round() == 5
    found = scene.told()["disagreement"]
    assert found["score_gap"] > 0
    assert found["changed_ratio"] is None


def test_segments_are_scored_and_not_compared(settings: Settings, publish: Publish) -> None:
    first, second = publish(0, family="kmeans", promote=True), publish(1, family="kmeans")
    scene = Scene(settings, first, second)
    shadow = scene.shadow()
    scene.answer(5)
    assert shadow.round() == 5
    assert scene.told()["disagreement"] == {"rows": 5, "score_gap": None, "changed_ratio": None}
    assert scene.told()["paired"] is None
    assert scene.rows().select(SHADOW_SCHEMA.names).schema.equals(SHADOW_SCHEMA)


def test_a_config_survives_the_command_line(scene: Scene) -> None:
    text = scene.config.to_json()
    back = ShadowConfig.from_json(text)
    assert back.to_json() == text
    assert (back.live, back.told) == (scene.config.live, scene.config.told)


def test_the_predictions_table_is_only_read(scene: Scene) -> None:
    shadow = scene.shadow()
    scene.answer(5)
    folder, _labels = log_tables(scene.live, "mixed")
    before = sorted(path.name for path in folder.rglob("*"))
    shadow.round()
    assert sorted(path.name for path in folder.rglob("*")) == before
