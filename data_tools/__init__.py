"""Mock star clusters in HST images: physics, fields, records, real mosaics.

What is exported is imported when it is first used, so that none waits for another's
libraries; ``__init__.pyi`` says the same to type checkers.
"""

import importlib

_EXPORTS = {
    "Backgrounds": "data_tools.fields.backgrounds",
    "MockSet": "data_tools.records.plan",
    "Priors": "data_tools.priors",
    "Target": "data_tools.target",
    "make_dataset": "data_tools.records.dataset",
    "make_mosaic": "data_tools.mocks.mock_mosaic",
    "open_mosaics": "data_tools.mosaics.mosaic",
    "read_positions": "data_tools.positions.read_positions",
    "read_set": "data_tools.records.finished_set",
    "simulate": "data_tools.records.simulate",
}

__all__ = list(_EXPORTS)


def __getattr__(name: str) -> object:
    """Import what is exported when it is first asked for."""
    if name not in _EXPORTS:
        raise AttributeError(f"module 'data_tools' has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the exported names too."""
    return sorted({*globals(), *__all__})
