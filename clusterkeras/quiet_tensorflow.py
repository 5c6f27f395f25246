"""TensorFlow imported without the dozen lines that it writes first of all."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

#: What TensorFlow writes: 2 leaves out what informs and warns. It is read too late for
#: the first lines; processes that are started take it over.
LEVEL = "TF_CPP_MIN_LOG_LEVEL"
#: Levels that leave out those lines too.
_QUIET = ("2", "3")


class _QuietTensorFlow(MetaPathFinder, Loader):
    """Import TensorFlow, whenever it is, with nobody listening.

    Its native code writes to the file descriptor, before any setting of a log level is
    read; a command's lines would hide the one that says what is wrong.

    Parameters
    ----------
    command : bool
        Whether the process is a command's own, whose devices are looked for at once,
        which writes more such lines, and whose garbage nobody counts.
    """

    def __init__(self, command: bool) -> None:
        self._command = command

    def find_spec(
        self, name: str, path: object = None, target: object = None
    ) -> ModuleSpec | None:
        """Find TensorFlow, to be loaded by this."""
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None:
            self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make it as its own loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run it."""
        module.__spec__.loader = module.__loader__ = self._loader
        with _nobody_listening():
            if not self._command:
                self._loader.exec_module(module)
                return
            # of what modules are made of nothing is garbage: to look for it takes a
            # fifth of the time
            gc.disable()
            try:
                self._loader.exec_module(module)
                module.config.list_physical_devices()
            finally:
                gc.freeze()
                gc.enable()


@contextmanager
def _nobody_listening() -> Iterator[None]:
    """Let what is written to the file descriptor of stderr go nowhere."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def hear_no_tensorflow() -> None:
    """Let nothing hear TensorFlow come in where `LEVEL` says so already.

    So it is in the processes that a command starts, and for who has set it.
    """
    if os.environ.get(LEVEL) in _QUIET and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _QuietTensorFlow(command=False))


@contextmanager
def tensorflow_is_quiet() -> Iterator[None]:
    """Let nothing hear TensorFlow come into a command, or what that starts.

    Whoever has set `LEVEL` to 0 or 1 hears it.
    """
    finder = _QuietTensorFlow(command=True)
    if os.environ.setdefault(LEVEL, _QUIET[0]) in _QUIET:
        sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        with suppress(ValueError):  # it has come, or may be heard
            sys.meta_path.remove(finder)
