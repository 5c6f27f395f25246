import math
import subprocess
import sys

import numpy as np
import pytest
import yaml
from astropy.table import Table

import clusterkeras
from clusterkeras.commands import cli
from data_tools.schema import FEATURES
from data_tools.target import Target

#: Asks for help in a fresh process and says what slow libraries came along.
HELP = """
import sys
from clusterkeras.commands.cli import main
for command in ("", *sys.argv[1:]):
    try:
        main([*command.split(), "--help"])
    except SystemExit as leave:
        assert leave.code == 0
    slow = {"tensorflow", "photutils", "pyarrow", "scipy.ndimage"} & {*sys.modules}
    print(sorted(slow), end="\\f")
"""


def parsed(command, *argv):
    """Return the arguments of a command line as a command receives them."""
    parser = cli.build_parser(command)
    arguments = list(argv)
    if cli.COMMANDS[command].takes_target:
        arguments = cli._with_target_file(arguments)
    return parser.instantiate(parser.parse_args(arguments))


def refused(capsys, *argv):
    """Run a command line that is refused; give its one line and its exit status."""
    code = cli.main(argv)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    return err, code


def test_help_ends_with_an_example_and_leaves_slow_libraries_alone():
    done = subprocess.run(
        [sys.executable, "-c", HELP, *cli.COMMANDS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *pages, end = done.stdout.split("\f")
    assert end == ""
    for command, page in zip(["", *cli.COMMANDS], pages, strict=True):
        *lines, imported = page.splitlines()
        assert imported == "[]", command
        assert lines[-2] == "example:", command
        assert lines[-1].startswith(f"  clusterkeras {command}")


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_example_is_a_valid_command_line(command):
    _, name, *argv = cli.COMMANDS[command].example.split()
    assert name == command
    parsed(command, *argv)


def test_version_is_the_package_s(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"clusterkeras {clusterkeras.__version__}\n"


def test_nothing_at_all_shows_the_help(capsys):
    assert cli.main([]) == 2
    assert "commands:" in capsys.readouterr().err


def test_a_dotted_option_changes_one_attribute():
    args = parsed(
        "simulate",
        *("-o", "mocks", "--mocks.n_train", "1000"),
        *("--priors.cluster_fraction", "0.6", "--priors.eff_eta", "[1.5, 2]"),
    )
    assert args.mocks.n_train == 1000
    assert args.priors.cluster_fraction == 0.6
    assert args.priors.eff_eta == (1.5, 2.0)
    assert args.target == Target.load("m83-wfc3-uvis")


def test_whole_numbers_may_be_written_by_powers(tmp_path):
    for name, content in (("mocks", "n_train: 1e3"), ("all", "mocks: {n_train: 1e3}")):
        (tmp_path / f"{name}.yaml").write_text(f"{content}\n")
    for argv in (
        ["--mocks.n_train", "1e3"],
        ["--mocks.n_train=1E3"],
        ["--mocks", "{n_train: 1.0e+3}"],
        ["--mocks", str(tmp_path / "mocks.yaml")],
        [f"--config={tmp_path / 'all.yaml'}"],
    ):
        args = parsed("simulate", "-o", "mocks", *argv, "--workers", "1e0")
        assert (args.mocks.n_train, args.workers) == (1000, 1)


def test_a_target_is_named_and_overridden(tmp_path):
    own = {**Target.load("m83-wfc3-uvis").to_dict(), "name": "own", "feh": 0.25}
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(own))
    args = parsed(
        "simulate",
        *("-o", "mocks", f"--target={path}", "--target.distance_mpc", "4.6"),
    )
    assert (args.target.name, args.target.feh) == ("own", 0.25)
    assert args.target.distance_mpc == 4.6
    args = parsed("mosaic", "-o", "mock", "--target", "m83-wfc3-uvis")
    assert args.target == Target.load("m83-wfc3-uvis")


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        ("simulate", "workers", "1000000"),
        ("simulate", "workers", "-1"),
        ("infer", "workers", "1000000"),
        ("evaluate", "batch_size", "1000000000"),
        ("evaluate", "n_mocks", "0"),
        ("evaluate", "draws", "1000000000"),
        ("evaluate", "classical_models", "-1"),
        ("shifts", "seed", "-1"),
        ("detect", "map_stride", "0"),
        ("compare", "match_px", ".nan"),
        ("compare", "match_px", ".inf"),
    ],
)
def test_an_option_out_of_all_bounds_is_refused_by_name(capsys, command, option, value):
    example = cli.COMMANDS[command].example.split()[1:]
    line, code = refused(capsys, *example, f"--{option}={value}")
    assert code == 2
    assert f"--{option} must be a" in line


def test_a_set_larger_than_the_disk_says_what_it_would_take(capsys, tmp_path):
    n = "1000000000000"
    line, code = refused(
        capsys, "simulate", "-o", str(tmp_path / "m"), "--mocks.n_train", n
    )
    assert code == 1
    assert "the records to make need 4.9" in line
    assert "Ask for fewer mocks" in line


def test_a_file_gives_what_the_command_line_does_not(tmp_path):
    path = tmp_path / "fit.yaml"
    path.write_text("training:\n  epochs: 3\n  batch_size: 32\nmodel:\n  hidden: 64\n")
    args = parsed(
        "fit",
        *("--config", str(path), "--data", "d", "-o", "o", "--training.epochs", "4"),
    )
    assert (args.training.epochs, args.training.batch_size) == (4, 32)
    assert args.model.hidden == 64


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_the_options_that_a_command_prints_can_be_given_back(capsys, tmp_path, command):
    example = cli.COMMANDS[command].example.split()[2:]
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, *example, "--print_config"])
    path = tmp_path / "all.yaml"
    path.write_text(capsys.readouterr().out)
    again = vars(parsed(command, *example, "--config", str(path)))
    assert again.pop("config")
    assert {**again, "config": None} == vars(parsed(command, *example))


@pytest.mark.parametrize(
    ("word", "verify"), [("true", True), ("false", False), ("yes", True), ("no", False)]
)
def test_a_flag_in_a_file_is_true_or_false(tmp_path, word, verify):
    path = tmp_path / "all.yaml"
    path.write_text(f"verify: {word}")
    assert parsed("simulate", "-o", "m", "--config", str(path)).verify is verify


def test_simulate_takes_mosaics_and_the_options_of_a_runner():
    args = parsed(
        "simulate",
        *("-o", "gs://bucket/mocks", "--images", "a.fits", "b.fits", "c.fits"),
        *("--backgrounds.tile_px", "512", "--runner", "beam", "--verify"),
        *("--", "--runner=FlinkRunner", "--parallelism=8"),
    )
    assert args.output == "gs://bucket/mocks"
    assert args.images == ["a.fits", "b.fits", "c.fits"]
    assert args.backgrounds.tile_px == 512
    assert args.verify
    assert args.runner_options == ["--runner=FlinkRunner", "--parallelism=8"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--images", "no.fits", "no.fits", "no.fits"], "no.fits"),
        (["--", "--runner=FlinkRunner"], "options of a runner are for Beam alone"),
        (["stray"], "options of a runner are for Beam alone"),
    ],
)
def test_simulate_refuses_options_that_do_not_go_together(
    capsys, tmp_path, argv, message
):
    few = "--mocks.n_train=16"  # a disk without room is told first
    line, code = refused(capsys, "simulate", "-o", str(tmp_path / "set"), few, *argv)
    assert code == 1
    assert message in line
    assert not (tmp_path / "set").exists()


def test_simulate_says_how_big_a_set_is():
    """49 kB a record and 9.8 GB a set are what the schema makes of them."""
    sizes = {"px": 64, "bands": 3}
    record = sum(
        math.prod(sizes.get(n, n) for n in feature.shape)
        * np.dtype(feature.dtype).itemsize
        for feature in FEATURES
    )
    assert round(record / 1e3) == 49
    assert round(200_000 * record / 1e9, 1) == pytest.approx(9.8, abs=0.1)
    text = " ".join(cli.build_parser("simulate").format_help().split())
    assert "49 kB: 200,000 records take about 9.8 GB" in text


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["fir"], "no command 'fir'; expected one of simulate"),
        (["fit"], "required: data, output"),
        (["fit", "--data", "d", "-o", "o", "--training.epochs", "0"], "epochs must be"),
        (
            ["fit", "--data", "d", "-o", "o", "--training.epochs", "x"],
            "training.epochs",
        ),
        (["fit", "--data", "d", "-o", "o", "--training.epoch", "3"], "training.epoch"),
        (["fit", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["simulate", "-o", "m", "--target", "m31"], "'m83-wfc3-uvis'"),
        (
            ["simulate", "-o", "m", "--target.distance_mpc", "-1"],
            "distance_mpc must be",
        ),
        (["simulate", "-o", "m", "--mocks.n_train", "0"], "mocks: n_train must be"),
        (["simulate", "-o", "m", "--priors.cluster_fraction", "2"], "cluster_fraction"),
        (["mosaic", "-o", "m", "--mosaic.size_px", "100"], "size_px must be"),
    ],
)
def test_a_wrong_command_line_ends_in_one_line_and_status_2(capsys, argv, message):
    line, code = refused(capsys, *argv)
    assert code == 2
    assert message in line


@pytest.mark.parametrize(
    ("option", "content", "message"),
    [
        ("--config", "training: {epoch: 3}", "training: unknown key 'epoch'; nearest"),
        ("--config", "trainin: {epochs: 3}", "unknown key 'trainin'; nearest to it: t"),
        (
            "--config",
            "training:\n  epochs: 3\n  epochs: 4",
            "line 3, column 3: 'epochs'",
        ),
        ("--config", "training: {epochs: x}", "training: epochs: expected a whole num"),
        ("--config", "training: {epochs: .nan}", "epochs: expected a whole number"),
        ("--config", "training:\n\tepochs: 3", "by spaces, not by tabs"),
        ("--config", "training: {epochs: 0}", "epochs must be"),
        ("--config", "traceback: 3", "traceback: expected true or false"),
        ("--config", "traceback: [a]", "traceback: expected true or false"),
        ("--config", "", "received an empty file"),
        ("--config", "- 3", "expected a YAML mapping; received a list"),
        ("--config", 20_000 * "[", "nested more than 100 levels"),
        ("--config", f"a: '{20_000 * '['}'", "a value of 20,000 characters"),
        ("--config", f"training: {{epochs: '{4_000 * '['}'}}", "more than 100 levels"),
        ("--config", "training: 3\n\udcff", "expected text in UTF-8"),
        ("--training", "epoch: 3", "training: unknown key 'epoch'; nearest to it: epo"),
        ("--training", "epochs: 3\nepochs: 4", "line 2, column 1: 'epochs' is given"),
        ("--config", "training: {epochs: 1:30}", "epochs: expected a whole number; r"),
        ("--training", "epochs: 1:30", "epochs: expected a whole number; received 1:"),
        ("--training", "epochs: [3]", "training: epochs: expected a whole number"),
        ("--training", "\udcff", "expected text in UTF-8"),
        ("--training", 20_000 * "- ", "nested more than 100 levels"),
    ],
)
def test_what_is_wrong_in_a_file_of_options_is_named(
    capsys, tmp_path, option, content, message
):
    path = tmp_path / "fit.yaml"
    path.write_bytes(content.encode(errors="surrogateescape"))
    line, code = refused(capsys, "fit", option, str(path), "--data", "d", "-o", "o")
    assert code == 2
    assert message in line
    assert str(path) in line or message == "epochs must be"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--training.epoch", "3"], "nearest to it: training.epochs"),
        (["--training", "{epochs: 3, epochs: 4}"], "'epochs' is given twice"),
        (["--training.epochs", 20_000 * "["], "value of 20,000 characters"),
        (["--training.epochs=" + 20_000 * "["], "--training.epochs: a value of 20,"),
        (["--training.epochs", 4_000 * "["], "nested more than 100 levels"),
        (["--training.epochs", 1_000 * "- "], "nested more than 100 levels"),
        (["--training.epochs", 1_500 * "[" + 1_500 * "]"], "more than 100 levels"),
        (["--training", 1_000 * "{a: "], "nested more than 100 levels"),
        (["--training.epochs", "1e12"], "training.epochs must be a whole number >="),
        (["--training.epochs", "2.5"], "--training.epochs: expected a whole number"),
        (["--training.epochs", "1:30"], "whole number; received 1:30"),
        (["--training.epochs=1:30"], "whole number; received 1:30"),
        (["--training.warmup", "0:30"], "expected a number; received 0:30"),
        (["--model.posterior", "no"], "expected one of 'mixture', 'flow', 'grid'"),
    ],
)
def test_what_is_wrong_in_an_option_is_named(capsys, argv, message):
    line, code = refused(capsys, "fit", "--data", "d", "-o", "o", *argv)
    assert code == 2
    assert message in line


@pytest.mark.parametrize("name", ["0123", "1e5", "no", "on", "2026-11-29", "null"])
def test_words_and_numbers_are_what_is_written(tmp_path, name):
    """The same in a file of all options, in one of a group, and as an option."""
    whole, group = tmp_path / "all.yaml", tmp_path / "priors.yaml"
    whole.write_text(f"target: {{name: {name}, distance_mpc: 45e-1}}")
    group.write_text("zero_point_mag: 1e-18")
    start = ["mosaic", "-o", "m", "--priors", str(group)]
    for argv in (["--config", str(whole)], ["--target.name", name]):
        args = parsed(*start, *argv)
        assert args.target.name == name
        assert args.priors.zero_point_mag == 1e-18
    args = parsed("mosaic", "-o", "m", "--priors.zero_point_mag", "1e-18")
    assert args.priors.zero_point_mag == 1e-18


def test_an_unknown_key_of_a_target_is_named_with_its_file(capsys, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("distance: 3\n")
    line, code = refused(capsys, "simulate", "-o", "m", "--target", str(path))
    assert code == 2
    assert f"{path}: target: unknown key 'distance'; nearest to it: distance_" in line


def test_input_that_is_refused_ends_in_one_line_and_status_1(capsys, tmp_path):
    nowhere = tmp_path / "nowhere.ecsv"
    line, code = refused(
        capsys,
        *("compare", "--catalogue", str(nowhere), "--truth", str(nowhere)),
        *("-o", str(tmp_path)),
    )
    assert code == 1
    assert line.startswith("clusterkeras compare: error: ")
    assert str(nowhere) in line


def test_a_model_that_is_not_there_ends_in_one_line(capsys, tmp_path):
    line, code = refused(
        capsys, "export", "--model", "nowhere.keras", "-o", str(tmp_path)
    )
    assert code == 1
    assert "'nowhere.keras'" in line


@pytest.mark.parametrize("position", [0, 1, 7, None])
def test_an_error_s_traceback_is_shown_where_it_is_asked_for(
    monkeypatch, tmp_path, position
):
    argv = ["compare", "--catalogue", "nowhere", "--truth", "nowhere"]
    argv += ["-o", str(tmp_path)]
    if position is not None:
        argv.insert(position, "--traceback")
    else:
        monkeypatch.setenv(cli.TRACEBACK_VARIABLE, "1")
    with pytest.raises(FileNotFoundError):
        cli.main(argv)


@pytest.mark.slow
def test_the_commands_follow_from_mocks_to_a_served_catalogue(capsys, tmp_path):
    """Run the whole path, small: a network of one short epoch."""

    def run(*argv):
        code = cli.main([str(a) for a in argv])
        out, err = capsys.readouterr()
        assert code == 0, err
        return out

    small = ["--priors.field_px", 128, "--priors.mocks_per_field", 16]
    mocks, run_directory = tmp_path / "mocks", tmp_path / "run"
    run(
        *("simulate", "-o", mocks, "--mocks.n_train", 64, "--mocks.n_validation", 32),
        *("--mocks.n_test", 32, "--mocks.shard_size", 32, "--workers", 1, *small),
    )
    run(
        *("fit", "--data", mocks, "-o", run_directory, "--training.epochs", 1),
        *("--training.batch_size", 16, "--training.picture_epochs", 0),
        *("--model.backbone", "resnet_tiny", "--model.posterior", "mixture"),
        *("--model.components", 2, "--model.hidden", 16),
    )
    run(
        *("evaluate", "--model", run_directory, "--data", mocks, "--draws", 32),
        *("-o", tmp_path / "evaluation"),
    )
    assert (tmp_path / "evaluation/metrics.json").is_file()

    mosaic = tmp_path / "mosaic"
    run("mosaic", "-o", mosaic, "--mosaic.n", 6, "--mosaic.size_px", 256)
    images = [mosaic / f"{b}.fits" for b in Target.load("m83-wfc3-uvis").band_names]
    candidates, catalogue = tmp_path / "candidates.ecsv", tmp_path / "catalogue.ecsv"
    run("detect", "--images", *images, "-o", candidates, "--model", run_directory)
    out = run(
        *("infer", "--images", *images, "--positions", candidates, "-o", catalogue),
        *("--model", run_directory, "--preview", tmp_path / "preview.png"),
    )
    assert "of them with p_cluster of 0.5 or more and no overlap" in out
    assert len(Table.read(catalogue)) == len(Table.read(candidates)) > 0
    out = run(
        *("compare", "--catalogue", catalogue, "--truth", mosaic / "truth.ecsv"),
        *("-o", tmp_path / "comparison"),
    )
    assert "6 clusters" in out

    out = run(
        *("export", "--model", run_directory, "-o", tmp_path / "served"),
        *("--name", "small", "--version", 3),
    )
    assert (tmp_path / "served/small/3/saved_model.pb").is_file()
    assert str(tmp_path / "served/small/3") in out
