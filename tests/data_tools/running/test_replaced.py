"""Outputs fall on nothing that is read, on nothing of somebody else."""

import os

import pytest
from astropy.table import QTable

from data_tools.running.replaced import check_replaced, check_replaced_in
from data_tools.running.table_file import write_table


@pytest.fixture
def there(tmp_path, monkeypatch):
    """Return a file of the user's, in the directory that is worked in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    path = tmp_path / "F336W.fits"
    path.write_bytes(b"pixels")
    (tmp_path / "link.fits").symlink_to("F336W.fits")
    os.link(path, tmp_path / "hard.fits")
    (tmp_path / "elsewhere").symlink_to(".")
    return path


NAMES = [
    *("F336W.fits", "sub/../F336W.fits", "link.fits", "hard.fits"),
    *("elsewhere/F336W.fits", "F336W.fits[1]", "F336W.fits[sci,1]"),
]


@pytest.mark.parametrize("read", NAMES)
@pytest.mark.parametrize("written", [name for name in NAMES if "[" not in name])
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_input_is_never_an_output_by_whatever_name(
    there, read, written, overwrite, tmp_path
):
    with pytest.raises(ValueError, match=rf"{written}: .* it is the input F336W|input"):
        check_replaced([tmp_path / written], [read], overwrite=overwrite)


def test_outputs_do_not_fall_on_each_other(there, tmp_path):
    for other in ("new.fits", "sub/../new.fits", "elsewhere/new.fits", "new.fits/a"):
        with pytest.raises(ValueError, match="a file of its own for each output"):
            check_replaced([tmp_path / "new.fits", tmp_path / other], overwrite=True)
    check_replaced([tmp_path / "new.fits", tmp_path / "a.fits", None], overwrite=False)


def test_another_s_file_is_replaced_on_demand_only(there):
    with pytest.raises(FileExistsError, match=r"F336W\.fits: .*--overwrite"):
        check_replaced([there], overwrite=False)
    check_replaced([there], overwrite=True)


def test_an_own_file_is_replaced_until_it_was_changed(tmp_path):
    write_table(QTable({"x": [1.0]}), tmp_path / "a.ecsv")
    check_replaced([tmp_path / "a.ecsv"], overwrite=False)
    with open(tmp_path / "a.ecsv", "a") as file:
        file.write("2.0\n")
    with pytest.raises(FileExistsError, match="not as this package wrote it"):
        check_replaced([tmp_path / "a.ecsv"], overwrite=False)


def test_of_csv_nobody_can_say_who_wrote_it(tmp_path):
    write_table(QTable({"x": [1.0]}), tmp_path / "a.csv")
    with pytest.raises(FileExistsError, match=r"CSV has no place .*--overwrite"):
        check_replaced([tmp_path / "a.csv"], overwrite=False)
    check_replaced([tmp_path / "a.csv"], overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_link_to_nothing_and_a_device_are_refused(tmp_path, overwrite):
    (tmp_path / "link.ecsv").symlink_to("nowhere.ecsv")
    with pytest.raises(FileNotFoundError, match=r"a link to nowhere\.ecsv, which is"):
        check_replaced([tmp_path / "link.ecsv"], overwrite=overwrite)
    os.mkfifo(tmp_path / "pipe.ecsv")
    with pytest.raises(FileExistsError, match=r"pipe\.ecsv: expected a file"):
        check_replaced([tmp_path / "pipe.ecsv"], overwrite=overwrite)


def test_what_an_own_link_leads_to_is_replaced_and_the_link_stays(tmp_path):
    write_table(QTable({"x": [1.0]}), tmp_path / "real.ecsv")
    (tmp_path / "link.ecsv").symlink_to("real.ecsv")
    write_table(QTable({"x": [2.0, 3.0]}), tmp_path / "link.ecsv")
    assert (tmp_path / "link.ecsv").is_symlink()
    assert len(QTable.read(tmp_path / "real.ecsv")) == 2


def test_a_directory_must_be_empty_or_one_of_ours(tmp_path):
    names = ("a.ecsv", "a.png")
    for left in (".DS_Store", ".lock", ".a.ecsv.2e.partial.ecsv"):
        (tmp_path / left).touch()
    check_replaced_in(tmp_path, names, overwrite=False)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(FileExistsError, match=r"it holds thesis\.tex.*--overwrite"):
        check_replaced_in(tmp_path, names, overwrite=False)
    check_replaced_in(tmp_path, names, overwrite=True)
    write_table(QTable({"x": [1.0]}), tmp_path / "a.ecsv")
    check_replaced_in(tmp_path, names, overwrite=False)
    (tmp_path / "a.png").write_bytes(b"the user's own")
    with pytest.raises(FileExistsError, match=r"a\.png: it is there, and not as"):
        check_replaced_in(tmp_path, names, overwrite=False)


def test_a_directory_in_a_file_s_place_is_refused(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(IsADirectoryError, match=r"a\.png: .* a directory is there"):
        check_replaced_in(tmp_path, ["a.png"], overwrite=True)
