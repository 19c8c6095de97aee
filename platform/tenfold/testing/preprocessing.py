"""What every recipe and every operation must keep, as a suite to inherit.

A test class names a recipe and gets all of it::

    class TestRobust(PreprocessingConformance):
        recipe = Recipe(numbers="robust", categories="onehot")

Override `schema` and `table` to run it on other data.
"""

# ruff: noqa: S101, D102  (tests, though they live in the library: names say what they check)

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tenfold.canonical import canonical_json
from tenfold.errors import DataError, RequestError
from tenfold.features import CrossFit, Preprocessor, Recipe, encode_table
from tenfold.features.joined import Joined, read_preprocessor
from tenfold.features.ops import TargetLookup
from tenfold.schema import Schema
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table

if TYPE_CHECKING:
    import pyarrow as pa

    from tenfold.profile import Profile

__all__ = ["PreprocessingConformance", "same_bits"]


def same_bits(left: Any, right: Any) -> bool:
    """Whether two arrays have equal shapes, types and bits (NaN equals NaN of the same bits).

    >>> same_bits(np.array([0.0]), np.array([-0.0]))
    False
    """
    a, b = np.ascontiguousarray(left), np.ascontiguousarray(right)
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def _from_target(fitted: CrossFit, fold: int) -> list[dict[str, Any]]:
    """The numbers from the target that the rows of a training fold meet."""
    prepared = fitted.by_fold.get(fold)
    ops = () if prepared is None else prepared.ops
    return [op.to_dict() for op in ops if isinstance(op, TargetLookup)]


class PreprocessingConformance:
    """Tests that hold for any recipe over any schema."""

    recipe: ClassVar[Recipe] = Recipe()

    def schema(self) -> Schema:
        """The schema under test."""
        return mixed_schema()

    def table(self, *, seed: int = 0, n_rows: int = 200) -> pa.Table:
        """Cleaned rows for the schema."""
        return mixed_table(n_rows, seed=seed)

    def fit_profile(self, profile: Profile) -> Preprocessor | Joined:
        """Fitted on the summary of some rows; what a suite of another kind of preprocessor says."""
        return Preprocessor.fit(self.schema(), profile, recipe=self.recipe)

    def fit(self) -> Preprocessor | Joined:
        """Fitted on `table`."""
        from tenfold.profile import Profile

        return self.fit_profile(Profile.from_table(self.table(), self.schema()))

    def test_matrix_is_float32_and_bounded(self) -> None:
        matrix = self.fit().transform(self.table(seed=1))
        assert matrix.dtype == np.float32
        assert matrix.flags.c_contiguous
        assert not np.isinf(matrix).any()
        if not self.recipe.leaves_missing:
            assert not np.isnan(matrix).any()

    def test_a_name_per_feature_none_twice(self) -> None:
        fitted = self.fit()
        assert len(set(fitted.feature_names)) == fitted.n_features
        assert fitted.transform(self.table()).shape == (200, fitted.n_features)

    def test_batch_equals_row_path_bit_for_bit(self) -> None:
        fitted = self.fit()
        table = self.table(seed=2, n_rows=64)
        rows = json_rows(fitted.schema, table)
        one_by_one = np.stack([fitted.transform_row(row) for row in rows])
        assert same_bits(fitted.transform(table), one_by_one)
        together = fitted.transform_codes(fitted.encoder.encode_rows(rows))
        assert same_bits(together, one_by_one)

    def test_any_cut_of_a_batch_gives_the_same_bits(self) -> None:
        fitted = self.fit()
        codes = encode_table(fitted.schema, self.table(seed=3, n_rows=9000))
        whole = fitted.transform_codes(codes)
        for size in (1, 7, 100, 8191):
            assert same_bits(whole[:size], fitted.transform_codes(codes[:size]))
            assert same_bits(whole[-size:], fitted.transform_codes(codes[-size:]))

    def test_one_row_and_no_row(self) -> None:
        fitted = self.fit()
        assert fitted.transform(self.table(n_rows=1)).shape == (1, fitted.n_features)
        assert fitted.transform(self.table().slice(0, 0)).shape == (0, fitted.n_features)

    def test_column_order_does_not_matter(self) -> None:
        fitted = self.fit()
        table = self.table(seed=4)
        turned = table.select(table.column_names[::-1])
        assert same_bits(fitted.transform(table), fitted.transform(turned))
        row = json_rows(fitted.schema, table)[0]
        backwards = dict(reversed(row.items()))
        assert same_bits(fitted.transform_row(row), fitted.transform_row(backwards))

    def test_input_is_not_changed(self) -> None:
        fitted = self.fit()
        codes = encode_table(fitted.schema, self.table())
        kept = codes.copy()
        codes.flags.writeable = False
        fitted.transform_codes(codes)
        assert same_bits(codes, kept)
        row = json_rows(fitted.schema, self.table())[0]
        before = json.dumps(row)
        fitted.transform_row(row)
        assert json.dumps(row) == before

    def test_unseen_categories_are_answered_and_all_alike(self) -> None:
        fitted = self.fit()
        row = json_rows(fitted.schema, self.table())[0]
        for column in fitted.schema.features:
            if not column.domain:
                continue
            unseen = fitted.transform_row(row | {column.name: "from another world"})
            assert unseen.shape == (fitted.n_features,)
            assert same_bits(unseen, fitted.transform_row(row | {column.name: "another still"}))

    def test_missing_column_is_refused_by_name(self) -> None:
        fitted = self.fit()
        name = fitted.schema.features[0].name
        row = json_rows(fitted.schema, self.table())[0]
        del row[name]
        narrow = self.table().drop_columns([name])
        calls: list[Callable[[], object]] = [
            lambda: fitted.transform_row(row),
            lambda: fitted.transform(narrow),
        ]
        for call in calls:
            try:
                call()
            except (DataError, RequestError) as error:
                assert repr(name) in str(error)
            else:
                raise AssertionError("a missing column was not refused")

    def test_all_values_missing_is_answered(self) -> None:
        fitted = self.fit()
        features = fitted.transform_row(dict.fromkeys(fitted.encoder.names))
        assert features.shape == (fitted.n_features,)
        assert not np.isinf(features).any()

    def test_fit_on_missing_and_constant_columns_does_not_break(self) -> None:
        import pyarrow as pa

        from tenfold.profile import Profile

        schema = self.schema()
        arrow = schema.arrow_schema()
        empty = pa.table([pa.nulls(5, field.type) for field in arrow], schema=arrow)
        if schema.target is not None:
            place = arrow.names.index(schema.target.name)
            target = self.table().column(schema.target.name).slice(0, 5)
            empty = empty.set_column(place, arrow.field(place), target)
        fitted = self.fit_profile(Profile.from_table(empty, schema))
        assert not np.isinf(fitted.transform(self.table())).any()

    def test_round_trip_through_json(self) -> None:
        fitted = self.fit()
        text = canonical_json(fitted.to_dict())
        again = read_preprocessor(json.loads(text))
        assert canonical_json(again.to_dict()) == text
        assert again.digest() == fitted.digest()
        assert again.feature_names == fitted.feature_names
        table = self.table(seed=5)
        assert same_bits(again.transform(table), fitted.transform(table))

    def test_what_is_fitted_on_the_target_never_saw_the_rows_own_fold(self) -> None:
        from tenfold.profile import Profile

        schema = self.schema()
        if schema.target is None:
            return
        profiles = {k: Profile.from_table(self.table(seed=k), schema) for k in range(3)}
        other = Profile.from_table(self.table(seed=9), schema)
        for ordered in (False, True):
            fit = partial(CrossFit.fit, schema, recipe=self.recipe, ordered=ordered)
            honest = fit(profiles)
            for fold in profiles:
                hidden = {f for f in profiles if f == fold or (ordered and f > fold)}
                changed = fit({f: other if f in hidden else p for f, p in profiles.items()})
                assert _from_target(changed, fold) == _from_target(honest, fold)

    def test_any_cut_and_order_of_the_rows_gives_the_same_digest(self) -> None:
        from tenfold.profile import Profile, merge_profiles

        schema, table = self.schema(), self.table()
        expected = self.fit().digest()
        for size in (7, 60, 199):
            starts = range(0, table.num_rows, size)
            parts = [Profile.from_table(table.slice(k, size), schema) for k in starts]
            for order in (parts, parts[::-1]):
                merged = merge_profiles(order)
                assert self.fit_profile(merged).digest() == expected

    def test_same_rows_same_digest(self) -> None:
        assert self.fit().digest() == self.fit().digest()
