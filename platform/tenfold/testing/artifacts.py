"""Small real artifacts for tests: a fitted model of a real family on the mixed table, in 0.1 s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tenfold.artifact import PREPROCESS_FILE, Lineage, Manifest, ManifestDraft
from tenfold.canonical import canonical_json
from tenfold.features import Preprocessor, Recipe
from tenfold.inference import pack_artifact
from tenfold.schema import Role, Schema
from tenfold.testing.mixed import mixed_schema, mixed_table, wide_schema, wide_table

if TYPE_CHECKING:
    from tenfold.models import Model

__all__ = ["fit_small", "small_artifact", "small_files"]

_TASKS: dict[str, Literal["binary", "regression", "clustering"]] = {
    "boosting": "binary",
    "linear": "binary",
    "network": "binary",
    "dummy": "regression",
    "kmeans": "clustering",
}


def fit_small(
    family: str = "boosting",
    *,
    seed: int = 0,
    preparing: Mapping[str, str] | None = None,
    wide: bool = False,
) -> tuple[Preprocessor, Model]:
    """A preprocessor and a model of one family, fitted on 300 rows of the mixed table.

    ``boosting``, ``linear`` and ``network`` answer ``label``, ``dummy`` answers the number ``age``,
    ``kmeans`` makes three segments. ``preparing`` are parameters that name fields of the recipe;
    ``wide`` takes `wide_table`, with a text, an identifier and a second time.
    """
    from tenfold.models import FAMILIES, Fit
    from tenfold.profile import Profile

    make = wide_table if wide else mixed_table
    schema, table = _schema(family, wide=wide), make(300, seed=seed)
    row, task = FAMILIES[family], _TASKS[family]
    params = dict(row.defaults(task)[0]) | ({"rounds": 5} if family == "boosting" else {})
    params |= preparing or {}
    if family == "kmeans":
        params["k"] = 3
    recipe = Recipe(**row.recipe(params))
    fitted = Preprocessor.fit(schema, Profile.from_table(table, schema), recipe=recipe)
    if task == "regression":
        target: Any = np.nan_to_num(table.column("age").to_numpy(), nan=50.0).astype(np.float64)
    else:
        target = np.array(table.column("label").to_pylist()) == "yes"
        target = target.astype(np.int64)
    model = row.fit(
        Fit(
            matrix=fitted.transform(table),
            target=target,
            task=task,
            n_classes={"binary": 2, "regression": 0, "clustering": 3}[task],
            params=params,
            seed=seed,
            threads=1,
            slots=fitted.slots,
        )
    )
    return fitted, model


def small_files(
    family: str = "boosting",
    *,
    engine: str = "onnx",
    seed: int = 0,
    preparing: Mapping[str, str] | None = None,
    wide: bool = False,
) -> tuple[dict[str, bytes], ManifestDraft]:
    """What `pack_artifact` takes."""
    fitted, model = fit_small(family, seed=seed, preparing=preparing, wide=wide)
    files = {PREPROCESS_FILE: canonical_json(fitted.to_dict()), **model.files()}
    onnx = model.to_onnx()
    if onnx is not None:
        files["model.onnx"] = onnx
    task = _TASKS[family]
    draft = ManifestDraft(
        project={"name": "mixed"},
        task=task,
        schema=fitted.schema,
        classes={"binary": ("no", "yes"), "clustering": ("0", "1", "2")}.get(task, ()),
        engine=engine,
        lineage=Lineage(
            snapshot="0" * 64, folds="0" * 64, code="test", seed=seed, params={}, family=family
        ),
        created="2031-05-04T13:30:00+00:00",
    )
    return files, draft


def small_artifact(
    folder: Path,
    *,
    family: str = "boosting",
    engine: str = "onnx",
    seed: int = 0,
    preparing: Mapping[str, str] | None = None,
) -> Manifest:
    """Write a small artifact to a new folder."""
    files, draft = small_files(family, engine=engine, seed=seed, preparing=preparing)
    return pack_artifact(folder, files=files, manifest=draft, table=mixed_table(100, seed=seed))


def _schema(family: str, *, wide: bool = False) -> Schema:
    roles = {
        "dummy": {"age": Role.TARGET, "label": Role.IGNORED},
        "kmeans": {"label": Role.IGNORED},
    }
    changed = roles.get(family, {})
    columns = (wide_schema() if wide else mixed_schema()).columns
    return Schema(tuple(replace(c, role=changed.get(c.name, c.role)) for c in columns))
