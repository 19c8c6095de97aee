from __future__ import annotations

from pathlib import Path

import pytest

from tenfold.errors import ArtifactError
from tenfold.testing.mixed import json_rows, mixed_table
from tenfold_serve.arms import ArmBoard, load_arm
from tests.tenfold_serve.support import Publish, board_with, config_of


def test_a_loaded_model_answers_and_counts(publish: Publish) -> None:
    version = publish()
    arm = load_arm(config_of(version)["arms"][0])
    rows = json_rows(arm.schema, mixed_table(20))
    codes = arm.encoder.encode_rows(rows)
    answer = arm.predictor.predict_codes(codes)
    assert arm.digest == version.model_digest
    assert arm.count(codes, answer.scores).sum() == 20 * (len(arm.schema.features) + 1)


def test_an_empty_board_says_why() -> None:
    board = ArmBoard()
    assert board.lineup.to_dict()["ready"] is False
    assert board.change({"arms": []}).reason == "no champion yet: train a model, or promote one"


def test_a_swap_loads_the_new_and_drops_the_old(publish: Publish) -> None:
    first, second = publish(0), publish(1)
    board = board_with(first)
    old = board.lineup
    board.change(config_of(second))
    assert [arm.version for arm in board.lineup.arms] == [second.version]
    assert [arm.version for arm in old.arms] == [first.version]


def test_what_is_loaded_already_is_not_loaded_again(publish: Publish) -> None:
    first, second = publish(0), publish(1)
    board = board_with(first)
    champion = board.lineup.arms[0]
    board.change(config_of(first, second, weights=(0.9, 0.1)))
    assert board.lineup.arms[0] is champion
    assert board.lineup.weights == (0.9, 0.1)
    promoted = board.lineup.arms[1].predictor
    board.change(config_of(second))
    assert board.lineup.arms[0].name == "champion"
    assert board.lineup.arms[0].predictor is promoted


def test_a_broken_model_leaves_the_old_one_answering(publish: Publish) -> None:
    first, second = publish(0), publish(1)
    board = board_with(first)
    before = board.lineup.arms
    model = second.path / "model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(bytes(data))
    lineup = board.change(config_of(second))
    assert lineup.arms is before
    assert "version 2 could not be loaded" in lineup.reason
    assert lineup.to_dict()["ready"] is True
    assert board.change(config_of(first)).reason == ""


@pytest.mark.parametrize(
    "config",
    [None, 7, {}, {"arms": 1}, {"arms": [{}]}, {"arms": [7]}, {"arms": [{"arm": "champion"}]}],
)
def test_no_configuration_makes_a_board_raise(config: object, publish: Publish) -> None:
    board = board_with(publish())
    lineup = board.change(config)
    assert lineup.reason
    assert len(lineup.arms) == 1


def test_weights_must_leave_somebody_to_answer(publish: Publish) -> None:
    version = publish()
    board = board_with(version)
    assert "weights" in board.change(config_of(version, weights=(0.0,))).reason


def test_another_model_under_the_promised_digest_is_refused(publish: Publish) -> None:
    first, second = publish(0), publish(1)
    entry = {**config_of(first)["arms"][0], "path": str(second.path)}
    with pytest.raises(ArtifactError, match="must have the digest"):
        load_arm(entry)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    entry = {"arm": "champion", "version": 1, "digest": "x", "weight": 1, "path": tmp_path / "no"}
    with pytest.raises(ArtifactError):
        load_arm(entry)
