"""Summaries of one column of strings, as one block."""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa

from tenfold.profile import CategoryAssociation, CategoryProfile
from tenfold.profile.association import Target
from tenfold.profile.category_scan import CategoryScan


def category_profile(array: pa.Array, *, domain: Collection[str] = ()) -> CategoryProfile:
    scan = CategoryScan(domain=domain)
    scan.add(array)
    return scan.results()[0]


def category_association(
    array: pa.Array, target: Target, *, domain: Collection[str] = ()
) -> CategoryAssociation:
    scan = CategoryScan(domain=domain)
    scan.add(array, target)
    association = scan.results()[1]
    assert association is not None
    return association
