"""Check that the pages say what the program does: tables, commands, links."""

import ast
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml

from clusterkeras.commands import cli
from clusterkeras.serving.contract import CONTRACT, signatures
from data_tools.schema import (
    FEATURES,
    FIELD_TRAITS,
    FLAGS,
    KINDS,
    PARAMETERS,
    PIXEL_UNIT_NJY,
    TRAITS,
    catalogue_columns,
)
from data_tools.tables import FILES, load_tables
from data_tools.target import Target

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def record_rows():
    rows = []
    for f in FEATURES:
        shape = ", ".join(str(size) for size in f.shape)
        unit = f"`{f.unit}`" if f.unit else ""
        rows.append(
            f"| `{f.name}` | {f.dtype} | ({shape}) | {unit} | {f.description} |"
        )
    return rows


def parameter_rows():
    return [
        f"| `{p.name}` | {p.unit} | {p.low} to {p.high} | {p.description} |"
        for p in PARAMETERS
    ]


def trait_rows(traits=TRAITS):
    return [
        f"| `{t.name}` |{' ' + t.unit if t.unit else ''} | {t.description} |"
        for t in traits
    ]


def field_trait_rows():
    return trait_rows(FIELD_TRAITS)


def kind_rows():
    return [f"| {i} | `{name}` |" for i, name in enumerate(KINDS)]


def flag_rows():
    return [f"| {bit} | `{name}` | {words} |" for name, (bit, words) in FLAGS.items()]


def column_rows():
    """Return a row for each column that `infer` adds, in its order."""
    rows = []
    for c in catalogue_columns():
        unit = f" {c.unit}" if c.unit else ""
        description, _, _ = c.description.partition(". ")
        rows.append(f"| `{c.name}` |{unit} | {c.ucd} | {description} |")
    return rows


def signature_rows():
    """Return the rows of each signature's inputs and outputs, one after the other."""
    return [
        [
            f"| `{one.name}` | {one.dtype} | ({', '.join(map(str, one.shape))}) |"
            f"{f' `{one.unit}`' if one.unit else ''} | {one.words} |"
            for one in tensors
        ]
        for signature in signatures()
        for tensors in (signature.inputs, signature.outputs)
    ]


def test_the_page_of_the_savedmodel_has_every_tensor_of_the_contract():
    text = (ROOT / "docs/use/serving.md").read_text()
    for rows in signature_rows():
        assert "\n".join(rows) in text
    assert f"`contract` is {CONTRACT}." in text


@pytest.mark.parametrize(
    ("page", "rows"),
    [
        ("how/record", record_rows),
        ("how/record", parameter_rows),
        ("how/record", trait_rows),
        ("how/record", field_trait_rows),
        ("how/record", kind_rows),
        ("use/catalogue", column_rows),
        ("use/catalogue", flag_rows),
    ],
)
def test_a_page_s_table_is_the_schema_s(page, rows):
    text = (ROOT / "docs" / f"{page}.md").read_text()
    assert "\n".join(rows()) in text


def test_the_record_page_states_the_pixel_unit():
    text = (ROOT / "docs/how/record.md").read_text()
    assert f"`PIXEL_UNIT` is {PIXEL_UNIT_NJY:g} nJy per pixel" in text


def commands():
    """Yield every `clusterkeras` command line in the pages' blocks of code."""
    for page in PAGES:
        for language, block in re.findall(
            r"^```(\w*)\n(.*?)^```$", page.read_text(), re.S | re.M
        ):
            for line in block.replace("\\\n", " ").splitlines():
                if language in ("", "bash", "sh") and line.startswith("clusterkeras "):
                    yield pytest.param(line, id=f"{page.name}: {line[:40]}")


def described_targets():
    """Yield name and text of every target that the pages write out."""
    for page in PAGES:
        yield from re.findall(
            r"```yaml\n# (\S+\.yaml)\n(.*?)```", page.read_text(), re.S
        )


@pytest.fixture
def among_described_targets(tmp_path, monkeypatch):
    """Stand in a directory with the targets that the pages write out."""
    for name, text in described_targets():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)


def test_the_target_of_the_tutorial_is_complete(among_described_targets):
    assert [name for name, _ in described_targets()] == ["ngcx.yaml"]
    target = Target.load("ngcx.yaml")
    assert target.name == "ngcx"
    written = yaml.safe_load(Path("ngcx.yaml").read_text())
    # all but what has a sensible default, and no key twice
    assert set(target.to_dict()) - set(written) == {
        "isochrones",
        "isochrones_format",
        "psf",
    }


def test_the_tutorial_gives_every_bands_sky():
    text = (ROOT / "docs/start/your_own_galaxy.md").read_text()
    names, _, values = re.search(r"(\| F275W.*\n)(.*\n)(.*)\n", text).groups()
    names, values = (
        [c.strip() for c in r.strip().strip("|").split("|")] for r in (names, values)
    )
    tables = load_tables(tuple(names))
    assert sorted(names) == sorted(b for held in FILES.values() for b in held)
    for k, value in enumerate(values):
        # as in tests/test_targets.py: zodiacal light, then dark current
        ab = 22.7 + tables.sun_vega[k] - 4.81 + tables.vega_ab[k]
        zero_point = -2.5 * np.log10(tables.photflam[k]) - 5 * np.log10(tables.pivot[k])
        electrons = 10 ** (-0.4 * (ab - zero_point + 2.408)) * 0.0396**2
        assert float(value) == pytest.approx(electrons + 0.002, abs=3e-4, rel=0.02)


@pytest.mark.parametrize("line", list(commands()))
def test_every_command_in_the_pages_is_valid(capsys, line, among_described_targets):
    _, name, *argv = shlex.split(line, comments=True)
    parser = cli.build_parser(name)
    if cli.COMMANDS[name].takes_target:
        argv = cli._with_target_file(argv)
    parser.instantiate(parser.parse_args(argv))
    assert capsys.readouterr().err == ""  # no old words


def test_every_file_that_the_tutorial_reads_was_written_by_a_step_before():
    text = (ROOT / "docs/start/your_own_galaxy.md").read_text()
    made = set()
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.S | re.M):
        if language == "yaml":
            made |= set(re.findall(r"^# (\S+\.yaml)$", block, re.M))
        if language != "bash":
            continue
        for line in block.replace("\\\n", " ").splitlines():
            _, *words = shlex.split(line, comments=True)
            written = words[words.index("-o") + 1] if "-o" in words else None
            options = ("--target", "--images", "--positions", "--data", "--model")
            options += ("--catalogue", "--truth", "--backgrounds.clusters")
            option = None
            for word in words:
                option = word if word.startswith("-") else option
                if option in options and not word.startswith("-"):
                    assert word.split("/")[0] in made, f"{word} in: {line}"
            made.add(written)
            if "--preview" in words:
                made.add(words[words.index("--preview") + 1])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_example_in_python_is_python(page):
    for code in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.S | re.M):
        ast.parse(code)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)#:=]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_configuration_of_tensorflow_serving_is_one():
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    folder = ROOT / "docs/use/serving"
    compose = yaml.safe_load((folder / "compose.yaml").read_text())
    service = compose["services"]["serving"]
    # what is mounted is there, and what is named is mounted
    mounted = dict(volume.split(":")[:2] for volume in service["volumes"])
    assert {p.name for p in folder.iterdir()} == {
        "compose.yaml",
        *(Path(p).name for p in mounted if p.endswith(".config")),
    }
    named = [c.partition("=")[2] for c in service["command"] if "_file=" in c]
    assert set(named) == set(mounted.values()) - {"/models"}
    text = (folder / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert model.name == "m83" and model.version_labels["stable"] == 1
