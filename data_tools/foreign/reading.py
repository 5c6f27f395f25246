"""What a library raises at somebody's file, as one error that names the file."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def reading(path: str | Path, kind: str) -> Iterator[None]:
    """Say that a file is at fault for whatever is raised while a library decodes it.

    Only the call of the library belongs in it, and no computation of this package: an
    error of ours must not be blamed on somebody's file.

    Parameters
    ----------
    path : str or Path
        The file.
    kind : str
        What it should be, ``YAML``.

    Raises
    ------
    ValueError
        For anything a library raises at bytes that are not what they should be:
        nested too deeply, of another type, cut short, larger than the memory. The
        message begins with the file.
    OSError
        What the system raises, such as a missing file, stays as it is.
    """
    try:
        yield
    except MemoryError as error:
        raise ValueError(
            f"{path}: not {kind}: it says that it holds more than fits into memory. "
            "It is damaged or something else"
        ) from error
    except RecursionError as error:
        raise ValueError(
            f"{path}: not {kind}: it is nested too deeply. It is damaged or something "
            "else"
        ) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise _damaged(path, kind, error) from error
    except Exception as error:
        if str(error).startswith(str(path)):
            raise
        raise _damaged(path, kind, error) from error


def _damaged(path: str | Path, kind: str, error: Exception) -> ValueError:
    reason = " ".join(str(error).split()) or type(error).__name__
    if len(reason) > 300:
        reason = reason[:300] + " ..."
    return ValueError(
        f"{path}: not {kind}: {reason}. It is cut short, damaged or something else"
    )


def read_text(path: Path, most_bytes: int) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 with its mark.

    Parameters
    ----------
    path : Path
        The file; anything with the methods of a `pathlib.Path` will do.
    most_bytes : int
        A larger file is not read.

    Raises
    ------
    OSError
        If there is none or it can't be read.
    ValueError
        If it is larger, or no such text; the message names the file.
    """
    # no more, whatever its size is said to be: a device has none and does not end
    with path.open("rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError(
            f"{path}: expected at most {most_bytes / 1e6:g} MB of text; it has more. "
            "Is it the right file?"
        )
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected text in UTF-8; byte {error.start} is none of it. Save "
            "it as UTF-8; it may also be damaged or something else"
        ) from error
