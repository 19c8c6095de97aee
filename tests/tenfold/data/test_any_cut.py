"""Any files, any order of rows, any number of threads: one digest and the same fitted numbers."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.data import FOLD, HASH, InProcess, Snapshot, prepare
from tenfold.features import CrossFit, Recipe
from tenfold.project import Project
from tenfold.settings import Settings

N_ROWS = 240
HEADER = "age,city,score,when,y"
RECIPES = (
    Recipe(missing_indicator=True),
    Recipe(numbers="standard", categories="onehot", winsorize=0.05),
    Recipe(numbers="quantile", categories="target", dates="elapsed"),
    Recipe(numbers="power", categories="frequency"),
)
SECTIONS: dict[str, dict[str, Any]] = {
    "by content": {},
    "by group": {"data": {"group": "city"}, "train": {"folds": 3}},
    "by time": {"data": {"time": "when"}},
    "duplicates kept": {"prepare": {"drop_duplicates": False}},
    "regression": {"problem": {"task": "regression", "target": "score"}},
}


def rows_of(seed: int) -> list[str]:
    """Numbers, categories and dates with missing cells, some bad cells and some rows twice."""
    random = np.random.default_rng(seed)
    rows = []
    for row in range(N_ROWS):
        age = "" if row % 17 == 0 else "old" if row % 97 == 5 else str(random.integers(18, 90))
        city = random.choice(["Bonn", " Köln", '"Ulm, ""Old""\nTown"', "?"], p=[0.5, 0.3, 0.1, 0.1])
        score = repr(float(random.lognormal()))
        when = f"2024-{1 + random.integers(12):02d}-{1 + random.integers(28):02d}"
        rows.append(f"{age},{city},{score},{when},{'yes' if random.random() < 0.4 else 'no'}")
    return rows + rows[:9]


def prepared(
    parts: Sequence[Sequence[str]], sections: dict[str, Any], *, n_threads: int
) -> list[Any]:
    """What must be alike of the snapshot of some files: digests, folds and fitted numbers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "parts").mkdir()
        for number, rows in enumerate(parts):
            text = "\n".join([HEADER, *rows]) + "\n"
            (folder / "parts" / f"{number}.csv").write_text(text)
        project = Project.from_dict(
            {"problem": {"task": "binary", "target": "y"}, **sections}
            | {"data": {"sources": [{"path": str(folder / "parts")}], **sections.get("data", {})}}
        )
        snapshot = prepare(
            project,
            settings=Settings.from_env({"TENFOLD_HOME": str(folder / "home")}),
            drivers=lambda _: InProcess(n_threads=n_threads),
        )
        assert len(snapshot.manifest["blocks"]) == len(parts)
        return [*_digests(snapshot), *_fitted(snapshot)]


def _digests(snapshot: Snapshot) -> list[Any]:
    table = snapshot.table()
    folds = sorted(zip(table[HASH].to_pylist(), table[FOLD].to_pylist(), strict=True))
    counts = (snapshot.n_rows, snapshot.n_quarantined, snapshot.n_duplicates)
    return [snapshot.digest, snapshot.folds_digest, snapshot.schema, folds, counts]


def _fitted(snapshot: Snapshot) -> list[str]:
    """Digests of every recipe, of what is served and of what each training fold meets."""
    profiles = {fold: part for fold, part in snapshot.profiles().items() if fold >= 0}
    found = []
    for recipe in RECIPES:
        fitted = CrossFit.fit(snapshot.schema, profiles, recipe=recipe, ordered=snapshot.ordered)
        made = [fitted.served, *(fitted.by_fold[fold] for fold in sorted(fitted.by_fold))]
        found += [one.digest() for one in made]
    return found


@settings(max_examples=10)
@given(data=st.data(), seed=st.integers(0, 10**6), kind=st.sampled_from(sorted(SECTIONS)))
def test_any_cut_and_order_of_the_files_gives_one_digest_and_the_same_fit(
    data: st.DataObject, seed: int, kind: str
) -> None:
    rows = rows_of(seed)
    expected = prepared([rows], SECTIONS[kind], n_threads=1)
    shuffled = data.draw(st.permutations(rows))
    cuts = data.draw(st.lists(st.integers(1, len(rows) - 1), max_size=5, unique=True).map(sorted))
    parts = [shuffled[i:j] for i, j in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    n_threads = data.draw(st.sampled_from([1, 2, 4]))
    assert prepared(parts, SECTIONS[kind], n_threads=n_threads) == expected
