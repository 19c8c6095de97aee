"""240 bit flips with every digest recomputed: what a wrong writer could publish (F11, F21).

Each is refused by the probe's child, which may die, or answers exactly as before, with the same
sets at every level. The process that serves the survivors gets no signal.
The monitor's reference is left out: it changes no answer. Flips under the old digests are
`tests/tenfold/artifact/test_read.py`.

Golden rows alone told 391 of 400 flips in ``model.onnx``: a leaf that none of them meets changes no
golden answer. The graph is therefore built again from the native files and compared
(`tenfold.models.rebuilt`; 400 flips of it alone in `tests/tenfold/models/test_rebuilt.py`).
A minute and a half on two quiet cores.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tenfold.artifact import (
    CONFORMAL_FILE,
    ManifestDraft,
    probe,
    read_artifact,
    write_artifact,
)
from tenfold.canonical import canonical_json
from tenfold.evaluation import Sets
from tenfold.inference import pack_artifact
from tenfold.testing.artifacts import small_files
from tenfold.testing.mixed import mixed_table

pytestmark = pytest.mark.slow

SERVER = """
import json, sys
from pathlib import Path
import numpy as np
from tenfold.errors import ArtifactError
from tenfold.inference import Predictor
from tenfold.testing.mixed import mixed_table

def sets(predictor):
    found = predictor.conformal
    return None if found is None else found.to_dict()

good, *folders = [Path(folder) for folder in sys.argv[1:]]
table = mixed_table(3000, seed=77)
before = Predictor.load(good)
expected = before.predict_table(table)
for folder in folders:
    try:
        predictor = Predictor.load(folder)
        predictor.check_golden()
    except ArtifactError:
        print(json.dumps({"folder": folder.name, "became": "refused"}), flush=True)
        continue
    found = predictor.predict_table(table)
    gap = float(np.abs(found.scores - expected.scores).max())
    became = "as before" if not gap else f"other, by {gap}"
    if sets(predictor) != sets(before):
        became = "other sets"
    print(json.dumps({"folder": folder.name, "became": became}), flush=True)
"""
"""Loads what passed the probe as a replica does, one after the other in one process."""


@dataclass
class Case:
    """One engine, and how many of the 240 flips are made in its artifact."""

    family: str
    engine: str
    n_flips: int
    categories: str = "ordinal"


CASES = [
    Case("boosting", "onnx", 80),
    Case("boosting", "onnx", 40, "native"),
    Case("boosting", "xgboost", 40),
    Case("boosting", "xgboost", 40, "native"),
    Case("linear", "arrays", 40),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.engine}-{case.categories}")
def test_a_resealed_flip_is_refused_or_changes_nothing(case: Case, tmp_path: Path) -> None:
    good = tmp_path / "good"
    preparing = {"categories": case.categories} if case.family == "boosting" else None
    made, draft = small_files(case.family, engine=case.engine, preparing=preparing)
    made[CONFORMAL_FILE] = canonical_json(limits(draft.classes).to_dict())
    pack_artifact(good, files=made, manifest=draft, table=mixed_table(100))
    files = {n: d for n, d in read_artifact(good).files.items() if n != "manifest.json"}

    def flipped(number: int) -> tuple[str, Path, str]:
        name = sorted(files)[number % len(files)]
        folder = tmp_path / f"{number}"
        return name, folder, _probed(folder, files, name, draft, seed=number)

    with ThreadPoolExecutor(2) as pool:
        tried = list(pool.map(flipped, range(case.n_flips)))
    passed = [folder for _, folder, reason in tried if not reason]
    done = subprocess.run(
        [sys.executable, "-c", SERVER, str(good), *map(str, passed)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = {line["folder"]: line["became"] for line in map(json.loads, done.stdout.splitlines())}
    became = Counter(
        (name, "refused by the probe" if reason else said[folder.name])
        for name, folder, reason in tried
    )
    print(dict(became))
    kept = {"refused by the probe", "refused", "as before"}
    assert {what for _, what in became} <= kept, became
    assert became[CONFORMAL_FILE, "refused by the probe"] == sum(
        n for (name, _), n in became.items() if name == CONFORMAL_FILE
    )
    assert sum(became.values()) == case.n_flips


def limits(classes: Sequence[str]) -> Sets:
    """Of sets, by probabilities that nobody answered."""
    random = np.random.default_rng(5)
    truth = random.integers(0, len(classes), 400)
    scores = random.dirichlet(np.ones(len(classes)), 400)
    return Sets.fit(scores, truth)


def _probed(
    folder: Path, files: dict[str, bytes], name: str, draft: ManifestDraft, *, seed: int
) -> str:
    """Flip one bit of a file, seal the whole anew, probe; why it was refused, empty if not."""
    rng = random.Random(seed)
    bad = bytearray(files[name])
    bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
    write_artifact(folder, files=files | {name: bytes(bad)}, manifest=draft)
    return probe(folder).reason
