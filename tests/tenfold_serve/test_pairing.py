"""A canary's rows beside the champion: each once, some a second, and never at others' cost."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import numpy as np
import pytest

from tenfold.features.columnpath import Columns
from tenfold.monitor.arms import ArmTotals, Pairs
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tenfold_serve.answers import Entry
from tenfold_serve.arms import Arm
from tenfold_serve.pairing import PAIRS_PER_S, REMEMBERED_ROWS, Pairing
from tests.tenfold_serve.support import Publish, board_with
from tests.tenfold_serve.test_arm_counts import broken

ROWS = json_rows(mixed_schema(), mixed_table(60))


def arms_of(publish: Publish) -> tuple[Arm, Arm]:
    champion = board_with(publish(0)).lineup.arms[0]
    canary = board_with(publish(1)).lineup.arms[0]
    return champion, dataclasses.replace(canary, name="challenger", version=2)


def entries_of(champion: Arm, canary: Arm, rows_of: Any = lambda row: [row]) -> list[Entry]:
    entries = []
    for k, row in enumerate(ROWS):
        codes = canary.encoder.encode_rows([row])
        scores = canary.predictor.score_codes(codes)
        kept = rows_of(row)
        entries.append(Entry([f"i{k}"], kept, codes, scores, ["yes"], canary, 1, 0.001, champion))
    return entries


def paired(*parts: list[Entry], pairing: Pairing | None = None) -> Pairs:
    used, total = pairing or Pairing(), ArmTotals("challenger", 2)
    for entries in parts:
        used.take(total, entries)
    return total.pairs


def test_a_canary_is_compared_with_the_champion_on_the_same_rows(publish: Publish) -> None:
    arms = arms_of(publish)
    pairs = paired(entries_of(*arms))
    assert pairs.rows == PAIRS_PER_S  # a second's share, however many there are
    columns = entries_of(*arms, lambda row: Columns({k: [v] for k, v in row.items()}, 1))
    assert paired(columns) == pairs
    assert any(pairs.theirs_up) or any(pairs.theirs_down)


def test_what_the_champion_cannot_read_is_not_compared(publish: Publish) -> None:
    pairs = paired(entries_of(*arms_of(publish), lambda row: [{"age": row["age"]}]))
    assert (pairs.rows, pairs.skipped) == (0, PAIRS_PER_S)


def test_a_row_counts_once_however_often_it_is_sent(publish: Publish) -> None:
    entries = entries_of(*arms_of(publish))[:5]
    pairing = Pairing()
    once = paired(entries, pairing=pairing)
    assert once.rows == 5
    assert paired(entries * 4, entries, pairing=pairing).rows == 0
    assert paired(entries * 4) == once


def test_another_canary_is_asked_anew(publish: Publish) -> None:
    champion, canary = arms_of(publish)
    pairing = Pairing()
    assert paired(entries_of(champion, canary)[:3], pairing=pairing).rows == 3
    other = dataclasses.replace(canary, version=3)
    assert paired(entries_of(champion, other)[:3], pairing=pairing).rows == 3


def test_what_is_remembered_is_bounded(publish: Publish) -> None:
    entries = entries_of(*arms_of(publish))
    pairing = Pairing()
    one = entries[0]
    for k in range(REMEMBERED_ROWS + 9):
        assert pairing._is_new(one._replace(codes=np.array([[float(k)]])))
    assert len(pairing._seen) == REMEMBERED_ROWS
    assert not pairing._is_new(one._replace(codes=np.array([[float(k)]])))
    assert pairing._is_new(one._replace(codes=np.array([[0.0]])))  # the oldest is forgotten


def test_a_champion_that_raises_is_told_once_and_its_rows_are_counted(
    publish: Publish, caplog: pytest.LogCaptureFixture
) -> None:
    champion, canary = arms_of(publish)
    bad = broken(champion, RuntimeError("no"))
    with caplog.at_level(logging.ERROR, logger="tenfold.serve"):
        pairs = paired(entries_of(bad, canary)[:3], entries_of(bad, canary)[3:6])
    assert (pairs.rows, pairs.skipped) == (0, 6)
    assert len(caplog.records) == 1
