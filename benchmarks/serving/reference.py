"""The reference models of `bench_serving`, as artifacts, and our endpoint over one without Ray.

- ``bench``: 200 trees of depth 6 on 20 numbers, what the peers serve, too.
- ``adult``: as many trees on the 14 columns of adult.csv, eight of them categories.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tenfold.artifact import PREPROCESS_FILE, Lineage, ManifestDraft
from tenfold.canonical import canonical_json
from tenfold.data import prepare
from tenfold.features import Preprocessor, Recipe, encode_table
from tenfold.inference import pack_artifact
from tenfold.inference.pack import draft_predictor
from tenfold.models import FAMILIES, Fit
from tenfold.monitor import FrozenBins, LossRule, build_reference
from tenfold.profile import Profile
from tenfold.project import Project
from tenfold.registry import Version
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.settings import Settings
from tenfold_serve.arms import ArmBoard, arm_config
from tenfold_serve.endpoint import Endpoint, EndpointLimits
from tenfold_serve.ids import IdMaker
from tenfold_serve.label_log import LabelLog
from tenfold_serve.process import set_aside_what_stays
from tenfold_serve.recorder import Recorder

__all__ = [
    "N_NUMBERS",
    "PROJECT",
    "adult_table",
    "make_adult",
    "make_endpoint",
    "make_reference",
    "reference_table",
    "rows_of",
]

N_NUMBERS = 20
PROJECT = "bench"
_TREES = {"rounds": 200, "max_depth": 6}


def reference_schema() -> Schema:
    numbers = tuple(Column(f"x{k:02d}", Kind.NUMBER) for k in range(N_NUMBERS))
    return Schema((*numbers, Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes"))))


def reference_table(n_rows: int, *, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_rows, N_NUMBERS))
    score = values[:, 0] * values[:, 1] + np.sin(values[:, 2]) + rng.normal(0, 0.5, n_rows)
    columns: dict[str, Any] = {f"x{k:02d}": values[:, k] for k in range(N_NUMBERS)}
    columns["y"] = np.where(score > 0, "yes", "no")
    return pa.table(columns, schema=reference_schema().arrow_schema())


def make_reference(
    folder: Path,
    *,
    n_rows: int = 20_000,
    seed: int = 0,
    graph: Callable[[bytes], bytes] | None = None,
) -> Path:
    """Fit and pack the model of numbers, its ONNX graph changed if asked; returns the folder."""
    table = reference_table(n_rows, seed=seed)
    return _make(folder, PROJECT, reference_schema(), table, target="y", graph=graph)


def adult_table(file: Path, home: Path) -> tuple[Schema, pa.Table]:
    """adult.csv, cleaned, with the schema that is inferred."""
    project = Project.from_dict(
        {
            "name": "adult",
            "problem": {"task": "binary", "target": "salary"},
            "data": {"sources": [{"path": str(file)}]},
        }
    )
    snapshot = prepare(project, settings=Settings.from_env({"TENFOLD_HOME": str(home)}))
    return snapshot.schema, snapshot.table()


def make_adult(folder: Path, schema: Schema, table: pa.Table) -> Path:
    """Fit and pack the model of `adult_table`; returns the folder."""
    return _make(folder, "adult", schema, table, target="salary")


def _make(
    folder: Path,
    project: str,
    schema: Schema,
    table: pa.Table,
    *,
    target: str,
    graph: Callable[[bytes], bytes] | None = None,
) -> Path:
    classes = schema.target.domain if schema.target else None
    assert classes is not None and len(classes) == 2
    family = FAMILIES["boosting"]
    params = dict(family.defaults("binary")[0]) | _TREES
    recipe = Recipe(**family.recipe(params))
    fitted = Preprocessor.fit(schema, Profile.from_table(table, schema), recipe=recipe)
    truth = (np.array(table[target].to_pylist()) == classes[1]).astype(np.int64)
    model = family.fit(
        Fit(
            matrix=fitted.transform(table),
            target=truth,
            task="binary",
            n_classes=2,
            params=params,
            seed=0,
            threads=1,
        )
    )
    files = {PREPROCESS_FILE: canonical_json(fitted.to_dict()), **model.files()}
    onnx = model.to_onnx()
    assert onnx is not None
    files["model.onnx"] = onnx if graph is None else graph(onnx)
    draft = ManifestDraft(
        project={"name": project},
        task="binary",
        schema=fitted.schema,
        classes=tuple(classes),
        engine="onnx",
        lineage=Lineage(
            snapshot="0" * 64, folds="0" * 64, code="bench", seed=0, params={}, family="boosting"
        ),
        created="2031-05-04T13:30:00+00:00",
    )
    files["reference.json"] = _reference(files, draft, table.slice(0, 5000), target)
    pack_artifact(folder, files=files, manifest=draft, table=table.slice(0, 200))
    return folder


def _reference(
    files: dict[str, bytes], draft: ManifestDraft, table: pa.Table, target: str
) -> bytes:
    predictor = draft_predictor(files, draft)
    codes = encode_table(draft.schema, table)
    answer = predictor.predict_codes(codes)
    truth = table[target].to_pylist()
    rule = LossRule.fit("binary", answer.values, truth)
    reference = build_reference(
        FrozenBins.freeze(draft.schema, Profile.from_table(table, draft.schema)),
        codes,
        scores=answer.scores,
        losses=rule.losses(answer.values, truth),
        rule=rule,
        block_rows=50,
    )
    return reference.to_bytes()


def make_endpoint(folder: Path, live: Path) -> Endpoint:
    """Our endpoint with everything on: validation, ids, split, recorder."""
    from tenfold.inference import Predictor

    digest = Predictor.load(folder).digest
    version = Version(PROJECT, 1, digest, "", folder, "")
    board = ArmBoard()
    entry = arm_config("champion", version=1, digest=digest, path=version.path, weight=1.0)
    lineup = board.change({"generation": 1, "arms": [entry]})
    assert lineup.reason == "", lineup.reason
    recorder = Recorder(
        project=PROJECT, replica="r", app="r.1", folder=live, sink=lambda _report: None
    )
    recorder.start()

    async def metrics() -> bytes:
        return b""

    return Endpoint(
        PROJECT,
        board=board,
        ids=IdMaker(b"s" * 32, project=PROJECT),
        recorder=recorder,
        labels=LabelLog(live, app="r.1"),
        metrics=metrics,
        limits=EndpointLimits(max_rows=10_000),
    )


def rows_of(values: npt.NDArray[np.float64]) -> list[dict[str, float]]:
    names = [f"x{k:02d}" for k in range(N_NUMBERS)]
    return [dict(zip(names, row, strict=True)) for row in values.tolist()]


def serve(app: Any, port: int) -> None:
    """A bare uvicorn on loopback, as fast as it can be."""
    import uvicorn

    uvicorn.run(
        app, host="127.0.0.1", port=port, log_level="error", access_log=False, loop="uvloop",
        http="httptools", lifespan="off",
    )  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """``python -m serving.reference FOLDER PORT``: serve an artifact without Ray and HAProxy."""
    folder, port = Path(arguments[0]), int(arguments[1])
    with tempfile.TemporaryDirectory() as live:
        app = make_endpoint(folder, Path(live))
        set_aside_what_stays()
        serve(app, port)


if __name__ == "__main__":
    main(sys.argv[1:])
