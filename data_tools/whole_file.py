"""Write a file that appears under its name only when it is whole."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

#: Ending of a file that is being written; one that stays behind is rubbish.
PARTIAL = ".partial"


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that appears under its name only when whole.

    It is written under a name of its own beside `path`, so that two processes never
    write into the same file, and renamed when it is on the disk. What was at `path`
    stays until then, and for good if writing fails.

    Parameters
    ----------
    path : Path
        File to write; one of that name is replaced. Anything with the methods of a
        `pathlib.Path` will do, such as an object in a bucket.

    Yields
    ------
    binary file

    Raises
    ------
    OSError
        If it can't be written, a full disk for one; the error names the file.
    """
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            with suppress(io.UnsupportedOperation):  # a bucket has no descriptor
                os.fsync(file.fileno())
        partial.rename(path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename is None:
            raise OSError(
                error.errno,
                f"{error.strerror} while writing it. Make room, then run the same "
                "again: files that are finished are kept",
                str(path),
            ) from error
        raise


def remove_partial(directory: Path) -> None:
    """Delete what processes that were killed have left half written."""
    for path in directory.iterdir():
        if path.name.endswith(PARTIAL):
            path.unlink(missing_ok=True)
