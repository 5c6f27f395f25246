"""An option's help: what the docstring of the function says of its parameter."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

from docstring_parser import DocstringStyle, parse
from jsonargparse import ArgumentParser


def parameter_texts(function: str) -> dict[str, str]:
    """Return what a function's docstring says of each of its parameters.

    The module is read and not imported: many import TensorFlow, and help has to
    answer at once.

    Parameters
    ----------
    function : str
        Module and name, ``package.module:function``.

    Raises
    ------
    ValueError
        If there is no such function at the top of the module.
    """
    module, _, name = function.partition(":")
    spec = importlib.util.find_spec(module)
    source = Path(spec.origin).read_text(encoding="utf-8") if spec else ""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            docstring = parse(ast.get_docstring(node) or "", DocstringStyle.NUMPYDOC)
            return {
                argument: " ".join((parameter.description or "").split())
                for parameter in docstring.params
                for argument in parameter.arg_name.split(", ")
            }
    raise ValueError(f"expected a function of a module; received {function!r}")


def add_words(parser: ArgumentParser, functions: tuple[str, ...]) -> None:
    """Give each option that has no help the text of the parameter of its name.

    Parameters
    ----------
    parser : ArgumentParser
        With the options of a command.
    functions : tuple of str
        As for `parameter_texts`; the first one that has the parameter counts.
    """
    texts: dict[str, str] = {}
    for function in functions:
        texts = parameter_texts(function) | texts
    for action in parser._actions:
        if action.help is None and action.dest in texts:
            action.help = texts[action.dest].replace("%", "%%")


def for_terminal(text: str) -> str:
    """Return a docstring's text without markup and references to Python.

    What is quoted stays in quotes only where it has a space in it, as a command line.
    """
    text = re.sub(r"(?:[;,:]?\s+see|\s+\(see)\s+`[\w.]+`\)?", "", text)
    text = re.sub(r"`+([^`\s]+)`+", r"\1", text)
    return text.replace("``", "`")
