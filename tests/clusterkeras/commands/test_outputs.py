"""No command writes onto what it reads, or onto what is somebody else's."""

import os

import pytest
import yaml

from clusterkeras.commands import cli
from clusterkeras.evaluation.evaluate import FILES as EVALUATION
from clusterkeras.population.result import FILES as POPULATION
from data_tools.target import Target

BANDS = Target.load("m83-wfc3-uvis").band_names
IMAGES = [f"in/{band}.fits" for band in BANDS]
MOSAICS = ["--images", *IMAGES]
POSTERIORS = ["--catalogue", "in/places.ecsv", "--draws_file", "in/draws.h5"]
PLACES = [*MOSAICS, "--positions", "in/places.ecsv"]

SAVED = ["--metrics", "in/metrics.json", "--card", "in/card.md"]

#: What each command writes: its arguments but for one output, the option of that, what
#: is written there (a file, or files in a directory), what is read.
OUTPUTS = {
    "detect": (["detect", *MOSAICS], "-o", "out.fits", IMAGES),
    "detect --map": (
        ["detect", *MOSAICS, "-o", "other.ecsv"],
        *("--map", "out.fits", IMAGES),
    ),
    "infer": (["infer", *PLACES], "-o", "out.ecsv", [*IMAGES, "in/places.ecsv"]),
    "infer --preview": (
        ["infer", *PLACES, "-o", "other.ecsv"],
        *("--preview", "out.png", IMAGES),
    ),
    "infer --draws_file": (
        ["infer", *PLACES, "-o", "other.ecsv"],
        *("--draws_file", "out.h5", ["in/places.ecsv"]),
    ),
    "report": (
        ["report", "in/places.ecsv", *MOSAICS],
        *("-o", "out.html", [*IMAGES, "in/places.ecsv"]),
    ),
    "check": (["check", *MOSAICS], "-o", "out.json", IMAGES),
    **{
        f"psf {band}": (["psf", *MOSAICS], "-o", f"out/{band}.fits", IMAGES)
        for band in BANDS
    },
    "psf picture": (["psf", *MOSAICS], "-o", "out/psf.png", IMAGES),
    **{
        f"mosaic {name}": (
            ["mosaic", "--target", "in/target.yaml"],
            *("-o", f"out/{name}", ["in/psf.fits"]),
        )
        for name in (*(f"{band}.fits" for band in BANDS), "truth.ecsv")
    },
    **{
        f"compare {name}": (
            ["compare", "--catalogue", "in/places.ecsv", "--truth", "in/truth.ecsv"],
            *("-o", f"out/{name}", ["in/places.ecsv", "in/truth.ecsv"]),
        )
        for name in ("comparison.json", "comparison.png")
    },
    **{
        f"population {name}": (
            ["population", *POSTERIORS, "--completeness", "in"],
            *("-o", f"out/{name}", ["in/places.ecsv", "in/draws.h5"]),
        )
        for name in POPULATION
    },
    **{
        f"evaluate {name}": (
            ["evaluate", "--model", "in/model.keras", "--data", "in/mocks"],
            *("-o", f"out/{name}", []),
        )
        for name in EVALUATION
    },
    "evaluate --classical": (
        ["evaluate", "--model", "in", "--data", "in/mocks", "--classical"],
        *("-o", "out/classical.png", []),
    ),
    **{
        f"{command[0]} {name}": (command, "-o", f"out/{name}", ["in/model.keras"])
        for command in (
            ["ensemble", "in", "in/model.keras"],
            ["recalibrate", "--model", "in", "--data", "in/mocks"],
        )
        for name in ("model.keras", "configuration.yaml", "recalibration.json")
    },
    **{
        f"save-preset {name}": (
            ["save-preset", *SAVED, "--model", "in"],
            *("-o", f"out/{name}"),
            ["in/model.keras", "in/metrics.json", "in/card.md"],
        )
        for name in ("model.keras", "metrics.json", "README.md", "preset.json")
    },
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Return a directory to work in, with what is read; none of it is opened."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "mocks").mkdir(parents=True)
    others = ("places.ecsv", "truth.ecsv", "psf.fits", "draws.h5")
    others += ("metrics.json", "card.md")
    for name in (*IMAGES, *(f"in/{other}" for other in others)):
        (tmp_path / name).write_text(f"the user's {name}")
    (tmp_path / "in/model.keras").write_text("the user's model")
    target = Target.load("m83-wfc3-uvis").to_dict()
    target["psf"] = {BANDS[0]: "in/psf.fits"}
    (tmp_path / "in/target.yaml").write_text(yaml.safe_dump(target))
    return tmp_path


def refused(capsys, argv, option, written):
    """Run a command line that is refused; give its one line."""
    directory, _, name = written.rpartition("/")
    assert cli.main([*argv, option, directory or name]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1, said.err
    assert "Traceback" not in said.err
    return said.err


def content(directory):
    return {p: p.read_bytes() for p in directory.rglob("*") if p.is_file()}


@pytest.mark.parametrize("case", OUTPUTS)
def test_a_file_of_somebody_else_stays(case, here, capsys):
    argv, option, written, _ = OUTPUTS[case]
    path = here / written
    path.parent.mkdir(exist_ok=True)
    path.write_text("a year's work")
    before = content(here)
    line = refused(capsys, argv, option, written)
    assert str(written) in line
    assert "--overwrite" in line
    assert content(here) == before


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("case", [c for c, (*_, read) in OUTPUTS.items() if read])
def test_what_is_read_stays_even_if_others_may_be_replaced(case, link, here, capsys):
    argv, option, written, read = OUTPUTS[case]
    path = here / written
    path.parent.mkdir(exist_ok=True)
    for one in read:
        link(here / one, path)
        before = content(here)
        line = refused(capsys, [*argv, "--overwrite"], option, written)
        assert f"{written}: expected an output beside what is read; it is the" in line
        assert content(here) == before
        path.unlink()


@pytest.mark.parametrize("case", [c for c, (*_, w, _) in OUTPUTS.items() if "/" in w])
def test_a_directory_with_other_things_is_left_alone(case, here, capsys):
    argv, option, written, _ = OUTPUTS[case]
    (here / "out").mkdir()
    (here / "out/thesis.tex").touch()
    assert "it holds thesis.tex" in refused(capsys, argv, option, written)
    assert [p.name for p in (here / "out").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("case", OUTPUTS)
def test_a_link_to_nothing_is_no_output(case, here, capsys):
    argv, option, written, _ = OUTPUTS[case]
    path = here / written
    path.parent.mkdir(exist_ok=True)
    path.symlink_to("nowhere")
    assert "a link to nowhere" in refused(
        capsys, [*argv, "--overwrite"], option, written
    )


def test_two_outputs_of_a_command_do_not_fall_on_each_other(here, capsys):
    argv = ["detect", *MOSAICS, "-o", "out.fits"]
    assert "a file of its own" in refused(capsys, argv, "--map", "out.fits")
    assert not (here / "out.fits").exists()


def test_every_command_that_writes_can_be_told_to_overwrite():
    for name in cli.COMMANDS:
        known = {a.dest for a in cli.build_parser(name)._actions}
        # a version of a served model that exists is never replaced
        assert ("overwrite" in known) == ("output" in known and name != "export"), name
