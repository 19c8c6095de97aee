"""How contestants that take data frames are given words; no imports but pandas, whoever runs it."""

import pandas as pd


def categories(train, test):
    """Text columns as categories of the training rows; numbers stay.

    FLAML codes the levels of the frame at hand: without this, a test without a rare country
    moved all that follow it by one (adult: ROC AUC .913 for .925), and a row alone had code 0.
    """
    for name in test.columns:
        if not pd.api.types.is_numeric_dtype(train[name]):
            kinds = pd.CategoricalDtype(sorted(train[name].dropna().astype(str).unique()))
            train[name] = train[name].astype(kinds)
            test[name] = test[name].astype(kinds)
    return train, test
