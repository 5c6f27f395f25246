"""A SavedModel less the signatures that nobody will ask.

TensorFlow makes Python objects of every operation of every function that it loads: the
larger part of the time until a first answer, and most of them are never called.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from tensorflow.core.protobuf import saved_model_pb2

from clusterkeras.serving.beside import GRAPH_FILE

#: Kind of an object that is a function of Python's, which signatures do not need.
_CALL = "function"


@contextmanager
def pruned(directory: Path, signatures: Collection[str]) -> Iterator[Path]:
    """Give for a while a SavedModel that has only some of the signatures of another.

    Parameters
    ----------
    directory : Path
        Of the SavedModel.
    signatures : collection of str
        Names of those to keep.

    Yields
    ------
    Path
        Its directory, which goes away afterwards; the weights in it are links.
    """
    saved = saved_model_pb2.SavedModel.FromString((directory / GRAPH_FILE).read_bytes())
    for meta in saved.meta_graphs:
        _prune(meta, signatures)
    with tempfile.TemporaryDirectory(prefix="clusterkeras-") as temporary:
        rest = shutil.ignore_patterns(GRAPH_FILE, "assets.extra")
        part = Path(temporary, "1")
        shutil.copytree(
            directory.resolve(), part, ignore=rest, copy_function=os.symlink
        )
        (part / GRAPH_FILE).write_bytes(saved.SerializeToString())
        yield part


def _prune(meta: Message, signatures: Collection[str]) -> None:
    """Take other signatures out of a graph, and the functions that they alone call."""
    objects = meta.object_graph_def
    root = objects.nodes[0]
    (named,) = (c.node_id for c in root.children if c.local_name == "signatures")
    _keep(root.children, lambda c: objects.nodes[c.node_id].WhichOneof("kind") != _CALL)
    _keep(objects.nodes[named].children, lambda child: child.local_name in signatures)
    kept = {
        objects.nodes[child.node_id].bare_concrete_function.concrete_function_name
        for child in objects.nodes[named].children
    }
    for node in objects.nodes:
        if node.WhichOneof("kind") == _CALL:
            del node.function.concrete_functions[:]
        elif (
            node.HasField("bare_concrete_function")
            and node.bare_concrete_function.concrete_function_name not in kept
        ):
            # nodes are known by their number: it stays, as nothing
            node.user_object.identifier = "_generic_user_object"
    for name in set(objects.concrete_functions) - kept:
        del objects.concrete_functions[name]
    library = meta.graph_def.library
    bodies = {function.signature.name: function for function in library.function}
    reached, waiting = set(), list(kept)
    while waiting:
        name = waiting.pop()
        if name in bodies and name not in reached:
            reached.add(name)
            waiting += _called(bodies[name])
    _keep(library.function, lambda function: function.signature.name in reached)


def _called(function: Message) -> Iterator[str]:
    """Yield the names of the functions that one calls."""
    for node in function.node_def:
        for value in node.attr.values():
            for called in (value.func, *value.list.func):
                yield called.name


def _keep(parts: Any, wanted: Callable[[Any], bool]) -> None:
    """Keep some of a repeated part of a message."""
    for index in reversed(range(len(parts))):
        if not wanted(parts[index]):
            del parts[index]
