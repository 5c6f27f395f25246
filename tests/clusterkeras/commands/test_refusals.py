"""What a command refuses it refuses before TensorFlow is imported."""

import json
import subprocess
import sys

import pytest

from clusterkeras.model_files.model_file import find_model

#: Runs command lines in turn, says of each its exit status, its one line, and whether
#: TensorFlow came along.
RUN = """
import contextlib, io, json, sys
from clusterkeras.commands.cli import main
for argv in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main(argv)
    print(json.dumps([code, said.getvalue(), "tensorflow" in sys.modules]))
"""

TABLE = "x,y\n10,10\n"

#: Word after word of a command line, and what is said; names of files begin with @.
CASES = {
    "a missing mosaic": ("infer @a @b @none.fits", "none.fits"),
    "bands in another order": ("infer @b @a @c", "F438W"),
    "too few bands": ("infer @a @b", "F814W"),
    "a mosaic that is none": ("infer @a @b @text.fits", "text.fits"),
    "a missing table": ("infer @a @b @c --positions @none.csv", "none.csv"),
    "a table without places": ("infer @a @b @c --positions @bare.csv", "bare.csv"),
    "a missing model": ("infer @a @b @c --model @none", "none"),
    "a model that is none": ("infer @a @b @c --model @text.keras", "text.keras"),
    "a model cut short": ("infer @a @b @c --model @half.keras", "half.keras"),
    "widths of other bands": (
        "infer @a @b @c --inference.psf_fwhm_px [2.0]",
        "expected 3 numbers",
    ),
    "an option out of range": ("infer @a @b @c --inference.draws 1", "draws"),
    "an unknown option": ("infer @a @b @c --inference.drwas 16", "drwas"),
    "an unknown format": ("infer @a @b @c --output @out.txt", "out.txt"),
    "an output that is an input": ("infer @a @b @c --output @table.csv", "table.csv"),
    "a preview of no format": ("infer @a @b @c --preview @out.txt", "out.txt"),
    "draws of no format": ("infer @a @b @c --draws_file @out.txt", "out.txt"),
    "a server without a name": ("infer @a @b @c --server here:1", "HOST:PORT/NAME"),
    "a server and a model": (
        "infer @a @b @c --server here:1/m83 --model m83-wfc3-uvis",
        "expected --model or --server; received --model m83-wfc3-uvis and --server",
    ),
    "a token for no server": (
        "infer @a @b @c --server_token_file @bare.csv",
        "--server_token_file: expected --server beside it",
    ),
    "a certificate for no server": (
        "infer @a @b @c --server_certificate @bare.csv",
        "--server_certificate: expected --server beside it",
    ),
    "draws for no file": (
        "infer @a @b @c --inference.draws 300",
        "--inference.draws: expected --draws_file beside it",
    ),
    "workers for one field": (
        "infer @a @b @c --workers 2",
        "--workers: expected --fields beside it",
    ),
    "a runner for one field": (
        "infer @a @b @c --runner beam",
        "--runner: expected --fields beside it",
    ),
    "a stride of no map": (
        "detect @a @b @c --map_stride 4",
        "--map_stride: expected --map beside it",
    ),
    "models of no classical grid": (
        "evaluate --data @none --classical_models 10",
        "--classical_models: expected --classical beside it",
    ),
    "a format of no isochrones": (
        "shifts --isochrones_format mist",
        "--isochrones_format: expected --isochrones beside it",
    ),
    "shifts: backgrounds of no mosaics": (
        "shifts --backgrounds.mask_radius_arcsec 2",
        "--backgrounds: expected --images beside it",
    ),
    "mocks: backgrounds of no mosaics": (
        "simulate --backgrounds.mask_radius_arcsec 2",
        "--backgrounds: expected --images beside it",
    ),
    "fields that are not there": ("infer --fields @none.yaml", "none.yaml"),
    "candidates: a missing mosaic": ("detect @a @b @none.fits", "none.fits"),
    "candidates: other bands": ("detect @b @a @c", "F438W"),
    "candidates: a missing model": ("detect @a @b @c --model @none", "none"),
    "candidates: a map of no format": ("detect @a @b @c --map @out.txt", "out.txt"),
    "completeness: a missing mosaic": ("completeness @a @b @none.fits", "none.fits"),
    "completeness: a missing model": ("completeness @a @b @c --model @none", "none"),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory, m83, write_band):
    """Return what was said of each case, from one process."""
    import numpy as np

    directory = tmp_path_factory.mktemp("inputs")
    for name, band in zip("abc", m83.bands, strict=True):
        write_band(directory / f"{name}.fits", np.full((80, 80), 0.1), band)
    (directory / "table.csv").write_text(TABLE)
    (directory / "bare.csv").write_text("mass\n10\n")
    (directory / "text.fits").write_text("no mosaic")
    (directory / "text.keras").write_text("no model")
    whole = find_model("m83-wfc3-uvis").read_bytes()
    (directory / "half.keras").write_bytes(whole[: len(whole) // 2])
    lines = [command_line(words, directory) for words, _ in CASES.values()]
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(lines)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = map(json.loads, done.stdout.splitlines())
    return dict(zip(CASES, found, strict=True))


def command_line(words, directory):
    command, *rest = words.split()
    images = [w for w in rest if w in ("@a", "@b", "@c") or w.endswith(".fits")]
    options = rest[len(images) :]
    argv = [command]
    if images:
        files = [w if "." in w else f"{w}.fits" for w in images]
        argv += ["--images", *files]
        if command == "infer" and "--positions" not in options:
            argv += ["--positions", "@table.csv"]
    if "--output" not in options:
        argv += ["--output", "@made" if command == "completeness" else "@out.ecsv"]
    return [w.replace("@", f"{directory}/") for w in (*argv, *options)]


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_before_tensorflow_is_imported(answers, case):
    code, said, imported = answers[case]
    assert code in (1, 2)
    assert CASES[case][1] in said and said.count("\n") == 1, said
    assert "fault of the program" not in said
    assert not imported
