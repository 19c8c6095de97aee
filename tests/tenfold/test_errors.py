from __future__ import annotations

import inspect

from tenfold import errors


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = errors.__doc__ or ""
    classes = [
        cls
        for _, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, errors.TenfoldError)
    ]
    assert {cls.__name__ for cls in classes} - {"TenfoldError"} <= set(drawn.split())
    assert sorted([*errors.__all__]) == sorted(cls.__name__ for cls in classes)


def test_exit_codes_are_those_of_the_command_line() -> None:
    assert errors.UserError.exit_code == 2
    assert errors.OurError.exit_code == 1
    assert errors.GateMissed.exit_code == 3
    assert errors.RegistryConflict.exit_code == 2
