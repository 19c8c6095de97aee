"""Nothing that is fitted on the target saw a training row's own fold, or a later slice of time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from tenfold.features import CrossFit, Preprocessor, Recipe, encode_table
from tenfold.features.codes import Codes
from tenfold.profile import Profile, merge_profiles
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.testing.mixed import mixed_schema, mixed_table
from tenfold.testing.preprocessing import same_bits

BARE = Recipe(categories="target", dates="epoch")
"""Numbers pass as they are: all that is fitted comes from the target."""
N_FOLDS = 4


def parts() -> dict[int, pa.Table]:
    return {fold: mixed_table(150, seed=fold) for fold in range(N_FOLDS)}


def garbled(table: pa.Table) -> pa.Table:
    """Other features and the opposite target."""
    labels = ["no" if label == "yes" else "yes" for label in table["label"].to_pylist()]
    turned = mixed_table(table.num_rows, seed=99)
    return turned.set_column(turned.schema.get_field_index("label"), "label", pa.array(labels))


def fit(tables: dict[int, pa.Table], *, ordered: bool, recipe: Recipe = BARE) -> CrossFit:
    schema = mixed_schema()
    profiles = {fold: Profile.from_table(table, schema) for fold, table in tables.items()}
    return CrossFit.fit(schema, profiles, recipe=recipe, ordered=ordered)


def rows_of(tables: dict[int, pa.Table]) -> tuple[Codes, np.ndarray]:
    codes = [encode_table(mixed_schema(), tables[fold]) for fold in sorted(tables)]
    return np.concatenate(codes), np.repeat(sorted(tables), [len(c) for c in codes])


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("fold", range(N_FOLDS))
def test_a_rows_own_fold_and_later_slices_change_no_bit_of_it(ordered: bool, fold: int) -> None:
    tables = parts()
    codes, folds = rows_of(tables)
    unseen = {other for other in tables if other == fold or (ordered and other > fold)}
    changed = {f: garbled(table) if f in unseen else table for f, table in tables.items()}
    here = folds == fold
    honest = fit(tables, ordered=ordered).transform_training(codes, folds)
    other = fit(changed, ordered=ordered).transform_training(codes, folds)
    assert same_bits(honest[here], other[here])


@pytest.mark.parametrize("ordered", [False, True])
def test_other_folds_do_change_a_row(ordered: bool) -> None:
    """The counterpart: the test above could not pass by looking at nothing."""
    tables = parts()
    codes, folds = rows_of(tables)
    here = folds == 2
    honest = fit(tables, ordered=ordered).transform_training(codes, folds)
    for fold in (0, 1):
        changed = fit(tables | {fold: garbled(tables[fold])}, ordered=ordered)
        assert not same_bits(honest[here], changed.transform_training(codes, folds)[here])


def test_each_row_is_encoded_by_the_merge_of_the_folds_it_may_see() -> None:
    tables, schema = parts(), mixed_schema()
    profiles = {fold: Profile.from_table(table, schema) for fold, table in tables.items()}
    codes, folds = rows_of(tables)
    for ordered in (False, True):
        made = fit(tables, ordered=ordered).transform_training(codes, folds)
        for fold in range(1, N_FOLDS):
            seen = [f for f in tables if (f < fold if ordered else f != fold)]
            merged = merge_profiles([profiles[f] for f in seen])
            plain = Preprocessor.fit(schema, merged, recipe=BARE)
            here = folds == fold
            np.testing.assert_allclose(made[here], plain.transform_codes(codes[here]), rtol=1e-6)


def test_the_first_slice_of_time_knows_nothing_of_the_target() -> None:
    tables = parts()
    codes, folds = rows_of(tables)
    fitted = fit(tables, ordered=True)
    first = fitted.transform_training(codes, folds)[folds == 0]
    names = fitted.served.feature_names
    shifts = first[:, [k for k, name in enumerate(names) if name.endswith("(target)")]]
    assert shifts.shape == (150, 2)
    assert (shifts == 0.0).all()


def test_what_is_served_comes_from_all_folds_and_is_all_that_is_stored() -> None:
    tables, schema = parts(), mixed_schema()
    merged = merge_profiles([Profile.from_table(tables[f], schema) for f in sorted(tables)])
    served = fit(tables, ordered=False).served
    assert served.digest() == Preprocessor.fit(schema, merged, recipe=BARE).digest()
    again = Preprocessor.from_dict(served.to_dict())
    codes, _ = rows_of(tables)
    assert same_bits(again.transform_codes(codes), served.transform_codes(codes))


def test_without_a_target_encoding_training_rows_are_as_served() -> None:
    tables = parts()
    codes, folds = rows_of(tables)
    recipe = Recipe(numbers="standard", categories="onehot")
    fitted = fit(tables, ordered=False, recipe=recipe)
    assert fitted.by_fold == {}
    assert same_bits(fitted.transform_training(codes, folds), fitted.served.transform_codes(codes))


def test_rows_of_a_strange_fold_are_refused() -> None:
    tables = parts()
    codes, folds = rows_of(tables)
    folds[:3] = -1
    with pytest.raises(ValueError, match=r"of the folds \[0, 1, 2, 3\], got rows of \[-1\]"):
        fit(tables, ordered=False).transform_training(codes, folds)


def noise(*, seed: int) -> tuple[Schema, dict[int, pa.Table], np.ndarray]:
    """A column of 1,000 categories that has nothing to do with a target of two classes."""
    rng = np.random.default_rng(seed)
    names = tuple(f"shop {k:03d}" for k in range(1000))
    schema = Schema(
        (
            Column("shop", Kind.CATEGORY, domain=names),
            Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes")),
        )
    )
    truth = rng.integers(0, 2, 2000)
    table = pa.table(
        {
            "shop": np.array(names)[rng.integers(0, 1000, 2000)],
            "y": np.array(["no", "yes"])[truth],
        }
    )
    return schema, {fold: table.slice(fold * 500, 500) for fold in range(N_FOLDS)}, truth


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_column_of_noise_looks_like_noise_where_the_model_learns(
    seed: int, ordered: bool
) -> None:
    """By its own target it looks like gold on the very rows it is learned from."""
    schema, tables, truth = noise(seed=seed)
    profiles = {fold: Profile.from_table(table, schema) for fold, table in tables.items()}
    codes = np.concatenate([encode_table(schema, tables[fold]) for fold in sorted(tables)])
    folds = np.repeat(np.arange(N_FOLDS), 500)
    fitted = CrossFit.fit(schema, profiles, recipe=BARE, ordered=ordered)
    honest = fitted.transform_training(codes, folds)[:, 0]
    naive = fitted.served.transform_codes(codes)[:, 0]
    # The feature is of the first class, "no".
    assert roc_auc_score(truth == 0, naive) > 0.8
    assert roc_auc_score(truth == 0, honest) == pytest.approx(0.5, abs=0.05)
