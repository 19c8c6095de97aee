"""What XGBoost would follow out of bounds is refused before it sees it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from tenfold.errors import ArtifactError
from tenfold.models.booster_check import check_booster
from tests.tenfold.models.test_ubjson import booster

N_FLIPS = 400

CHILD = """
import sys
from pathlib import Path
import numpy as np, xgboost
from tenfold.errors import ArtifactError
from tenfold.models.booster_check import check_booster

rng = np.random.default_rng(1)
matrix = rng.normal(scale=3.0, size=(500, 4)).astype(np.float32)
matrix[rng.random(matrix.shape) < 0.2] = np.nan
passed = 0
for path in sorted(Path(sys.argv[1]).iterdir()):
    data = path.read_bytes()
    try:
        check_booster(data)
        xgboost.Booster({"nthread": 1}, model_file=bytearray(data)).inplace_predict(matrix)
    except (ArtifactError, xgboost.core.XGBoostError):
        continue
    passed += 1
print(passed)
"""


def changed(made: xgboost.Booster, change: Callable[[Any], None]) -> bytes:
    """The booster's bytes after its JSON was changed, written as XGBoost would."""
    document = json.loads(made.save_raw("json"))
    change(document["learner"])
    return written(document)


def written(value: Any, name: str = "") -> bytes:
    """Universal binary JSON of the form that XGBoost writes."""
    if isinstance(value, dict):
        body = b"".join(_length(key) + written(inner, key) for key, inner in value.items())
        return b"{" + body + b"}"
    if isinstance(value, str):
        return b"S" + _length(value)
    if isinstance(value, int):
        return b"L" + value.to_bytes(8, signed=True)
    if name in ("base_weights", "loss_changes", "split_conditions", "sum_hessian"):
        return b"[$d#L" + len(value).to_bytes(8) + np.asarray(value, ">f4").tobytes()
    if name in ("default_left", "split_type"):
        return b"[$U#L" + len(value).to_bytes(8) + np.asarray(value, ">u1").tobytes()
    if name in ("left_children", "right_children", "parents", "split_indices"):
        return b"[$l#L" + len(value).to_bytes(8) + np.asarray(value, ">i4").tobytes()
    return b"[#L" + len(value).to_bytes(8) + b"".join(map(written, value))


def _length(text: str) -> bytes:
    return b"L" + len(text.encode()).to_bytes(8) + text.encode()


def trees(learner: Any) -> Any:
    return learner["gradient_booster"]["model"]["trees"]


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"objective": "reg:squarederror"},
        {"objective": "count:poisson"},
        {"objective": "reg:quantileerror", "quantile_alpha": 0.9},
        {"objective": "multi:softprob", "num_class": 3},
        {"num_parallel_tree": 3, "subsample": 0.5, "gamma": 2.0},
        {"grow_policy": "lossguide", "max_leaves": 7, "monotone_constraints": "(1,0,-1,0)"},
        {"max_depth": 1, "min_child_weight": 1e9},
        {"tree_method": "exact", "gamma": 1.0},
    ],
    ids=str,
)
def test_what_xgboost_writes_is_sound(params: dict[str, Any]) -> None:
    made = booster(**params)
    check_booster(bytes(made.save_raw("ubj")))
    check_booster(bytes(made[0:2].save_raw("ubj")))
    check_booster(changed(made, lambda learner: None))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t[1]["left_children"].__setitem__(0, 10**6), "tree 1: children are among"),
        (lambda t: t[0]["left_children"].__setitem__(0, -7), "tree 0: children are among"),
        (lambda t: t[0]["left_children"].__setitem__(0, 0), "tree 0: a node has one parent|nobody"),
        (lambda t: t[0]["right_children"].__setitem__(0, 1), "tree 0: a node has one parent"),
        (lambda t: t[0]["right_children"].__setitem__(0, -1), "two children or none"),
        (lambda t: t[0]["parents"].__setitem__(1, 2**31 - 3), "tree 0: parents are among"),
        (lambda t: t[0]["parents"].__setitem__(1, 5), "children know their parents"),
        (lambda t: t[0]["parents"].__setitem__(0, 1), "the root has no parent"),
        (lambda t: t[0]["split_indices"].__setitem__(0, 4), "columns that are read exist"),
        (lambda t: t[0]["split_conditions"].__setitem__(0, float("nan")), "are finite"),
        (lambda t: t[0]["split_conditions"].pop(), "split_conditions has a number for each of"),
        (lambda t: t[0]["split_type"].__setitem__(0, 1), "a split of categories has its set"),
        (lambda t: t[0]["default_left"].__setitem__(0, 9), "missing values go left or right"),
        (lambda t: t[0]["tree_param"].__setitem__("size_leaf_vector", "9"), "a leaf holds one"),
        (lambda t: t[0]["tree_param"].__setitem__("num_feature", "9"), "it reads 4 columns"),
        (lambda t: t[0].pop("parents"), "it has other parts: \\['parents'\\]"),
        (lambda t: t.pop(), "there are 3 trees"),
    ],
)
def test_an_unsound_tree_is_refused_with_its_law(change: Callable[[Any], Any], said: str) -> None:
    data = changed(booster(), lambda learner: change(trees(learner)))
    with pytest.raises(ArtifactError, match=f"model.ubj: .*({said}).*; publish the model again"):
        check_booster(data)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m["gradient_booster"].update(name="dart"), "a booster is gbtree, not 'dart'"),
        (lambda m: m["learner_model_param"].update(num_target="2"), "one target"),
        (lambda m: m["learner_model_param"].update(num_class="5"), "every round has 5 trees"),
        (lambda m: m["learner_model_param"].update(num_class="x"), "must hold a booster"),
        (lambda m: m["learner_model_param"].update(base_score="[nan]"), "base scores are finite"),
        (lambda m: m["learner_model_param"].update(base_score="[1,2]"), "1 base scores"),
        (lambda m: m["gradient_booster"]["model"]["tree_info"].__setitem__(0, 3), "one of 1"),
        (lambda m: m["gradient_booster"]["model"]["iteration_indptr"].pop(), "every tree belongs"),
        (lambda m: m.pop("objective"), "must hold a booster"),
    ],
)
def test_an_unsound_learner_is_refused_with_its_law(
    change: Callable[[Any], Any], said: str
) -> None:
    with pytest.raises(ArtifactError, match=said):
        check_booster(changed(booster(), change))


@pytest.mark.parametrize("data", [b"", b"{}", b"Z", b"not a booster", b"[]"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError, match=r"model\.ubj must hold a booster of XGBoost"):
        check_booster(data)


def test_what_passes_kills_nobody(tmp_path: Path) -> None:
    """One flip each; of 60 such boosters 14 ended the process that loaded them unchecked."""
    good = bytes(booster().save_raw("ubj"))
    rng = random.Random(5)
    for number in range(N_FLIPS):
        bad = bytearray(good)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        (tmp_path / f"{number:03d}").write_bytes(bad)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert 0 < int(done.stdout) < N_FLIPS
