"""Tables that are text, as people and programs write them."""

from pathlib import Path

import numpy as np
import pytest

from data_tools.positions.columns.names import ORIGIN_KEY, find_positions
from data_tools.positions.read_positions import read_positions

BIG = 2**53 + 1  # no float64 is it

VIZIER = """#
#   VizieR Astronomical Server vizier.cds.unistra.fr
#Coosys\tJ2000:\teq_FK5 J2000
#RESOURCE=yCat_1
#Name: J/MNRAS/1/2
#Table\tJ_MNRAS_1_2_table1:
#Column\t_RAJ2000\t(F11.7)\tRight ascension\t[ucd=pos.eq.ra]

_RAJ2000|_DEJ2000|Name|Vmag
deg|deg||mag
-----------|-----------|----|-----
 204.25|-29.86|A 1|
 204.26|+29.85|B, 2|21.3

#END#
"""
IPAC = r"""\fixlen = T
\RowsRetrieved = 2
|   ra     |   dec    | name |
|  double  |  double  | char |
|  deg     |  deg     |      |
|  null    |  null    | null |
 204.25     -29.86     A
 204.26     29.85      B
"""
MRT = """Title: Clusters
Authors: N. N.
Table: One
================================================================================
Byte-by-byte Description of file: table1.txt
--------------------------------------------------------------------------------
   Bytes Format Units   Label     Explanations
--------------------------------------------------------------------------------
   1-  1 A1     ---     Name      Name
   3-  8 F6.2   deg     RAdeg     Right ascension
  10- 15 F6.2   deg     DEdeg     Declination
  17- 20 F4.1   mag     Vmag      ? Magnitude
--------------------------------------------------------------------------------
A 204.25 -29.86
B 204.26  29.85 21.3
"""
SEXTRACTOR = """#   1 NUMBER          Running object number
#   2 ALPHA_J2000     Right ascension of barycenter (J2000)      [deg]
#   3 DELTA_J2000     Declination of barycenter (J2000)          [deg]
#   4 FLUX_APER       Flux vector within fixed circular aperture [count]
#   6 FLAGS           Extraction flags
 1  204.25  -29.86  310.5 400.1  0
 2  204.26  +29.85  120.0 130.0  2
"""

#: The same two positions, written in many ways; the name of the file tells little.
WAYS = {
    "comma": "ra,dec\n204.25,-29.86\n204.26,29.85\n",
    "comma, blanks and quotes": (
        'ra, dec, "a b"\n204.25, -29.86, "x, y"\n204.26, 29.85, z\n'
    ),
    "comma with a mark of UTF-8": "\ufeffra,dec\n204.25,-29.86\n204.26,29.85\n",
    "semicolon": "ra;dec\n204.25;-29.86\n204.26;29.85\n",
    "decimal comma": "ra;dec\n204,25;-29,86\n204,26;29,85\n",
    "decimal comma and blank": "ra dec x\n204,25 -29,86 1,000\n204,26 29,85 1,500\n",
    "units without dashes": "ra,dec,n\ndeg,deg,-\n204.25,-29.86,1\n204.26,29.85,2\n",
    "units in brackets": "ra dec\n[deg] [deg]\n204.25 -29.86\n204.26 29.85\n",
    "decimal comma and tab": "ra\tdec\n204,25\t-29,86\n204,26\t29,85\n",
    "tab": "name\tra\tdec\nNGC 1\t204.25\t-29.86\nNGC 2\t204.26\t29.85\n",
    "blanks": "  ra     dec\n204.25 -29.86\n204.26  29.85\n",
    "bar": "ra|dec\n204.25|-29.86\n204.26|29.85\n",
    "markdown": "| ra | dec |\n|----|:---:|\n| 204.25 | -29.86 |\n| 204.26 | 29.85 |\n",
    "box": (
        "+---+---+\n|ra |dec|\n+---+---+\n|204.25|-29.86|\n|204.26|29.85|\n+---+---+\n"
    ),
    "typeset minus": "ra dec\n204.25 \u221229.86\n204.26 29.85\n",
    "dash for minus": "ra,dec\n204.25,\u201329.86\n204.26,29.85\n",
    "exponent of Fortran": "ra dec\n2.0425D+02 -0.2986d2\n2.0426D+02 29.85\n",
    "exponent of Fortran and decimal comma": (
        "ra;dec\n2,0425D+02;-0,2986d2\n2,0426D+02;29,85\n"
    ),
    "names in a remark, bars, and commas in quotes": (
        '# ra|dec|name\n204.25|-29.86|"x,y"\n204.26|29.85|"x,y"\n'
    ),
    "no-break blanks": "ra dec\n204.25\xa0-29.86\n204.26\xa029.85\n",
    "remarks": "# mine\n% too\nra dec\n204.25 -29.86\n# a gap\n\n204.26 29.85\n",
    "names in a remark": "# mine\n# ra dec\n204.25 -29.86\n204.26 29.85\n",
    "names behind the mark": "#ra,dec\n204.25,-29.86\n204.26,29.85\n",
    "names of numpy": "# ra dec\n204.25,-29.86\n204.26,29.85\n",
    "number of the row": ",ra,dec\n0,204.25,-29.86\n1,204.26,29.85\n",
    "a mark at each end": "ra,dec,\n204.25,-29.86,\n204.26,29.85,\n",
    "said by a spreadsheet": "sep=;\nra;dec\n204.25;-29.86\n204.26;29.85\n",
    "ends of lines of Windows": "ra,dec\r\n204.25,-29.86\r\n204.26,29.85\r\n",
    "ends of lines of old": "ra,dec\r204.25,-29.86\r204.26,29.85\r",
    "two lines of names": "ra dec\ndeg deg\n--- ---\n204.25 -29.86\n204.26 29.85\n",
    "places under dashes": (
        "ra     dec    name\n------ ------ -----\n"
        "204.25 -29.86 NGC 1\n204.26  29.85 M 83\n"
    ),
    "places between double dashes": (
        "====== ====== =====\nra     dec    name\n====== ====== =====\n"
        "204.25 -29.86 NGC 1\n204.26  29.85 M83\n====== ====== =====\n"
    ),
    "rdb": "ra\tdec\tname\n10N\t10N\t5S\n204.25\t-29.86\tA\n204.26\t29.85\tB\n",
    "VizieR": VIZIER.replace("|", "\t"),
    "VizieR, semicolons": VIZIER.replace("|", ";"),
    "VizieR, bars": VIZIER,
    "VizieR, a table without positions before": (
        "#Table\n\nName;Vmag\n;mag\n----;----\nA;1.0\nB;2.0\n\n\n"
        + VIZIER.replace("|", ";")
    ),
    "a text of two lines": 'ra,dec,b\n204.25,-29.86,"a\nb"\n204.26,29.85,c\n',
    "a remark behind": "ra dec\n204.25 -29.86 # good\n204.26 29.85\n",
    "remarks behind names": "# ra dec\n#\n204.25 -29.86\n204.26 29.85\n",
    "a number for a name": "ra,dec,1\n204.25,-29.86,1\n204.26,29.85,2\n",
    "IPAC": IPAC,
    "machine-readable": MRT,
    "SExtractor": SEXTRACTOR,
    "ECSV": "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: ra, datatype: float64}\n"
    "# - {name: dec, datatype: float64}\nra dec\n204.25 -29.86\n204.26 29.85\n",
}  # fmt: skip


@pytest.mark.parametrize("ending", [".csv", ".txt", ".tab", ".cat", ".tbl", ".mrt", ""])
@pytest.mark.parametrize("way", WAYS)
def test_the_way_it_is_written_does_not_matter(tmp_path, way, ending):
    path = tmp_path / f"table{ending}"
    path.write_bytes(WAYS[way].encode())
    table = read_positions(path)
    _, sky = find_positions(table)
    assert sky.ra.tolist() == [204.25, 204.26]
    assert sky.dec.tolist() == [-29.86, 29.85]


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_letters_of_any_coding_are_read(tmp_path, coding):
    path = tmp_path / "table.csv"
    path.write_bytes("name,x,y\nCafé,1,2\n".encode(coding))
    assert read_positions(path)["name"].tolist() == ["Café"]


#: Words of a column, and what they are.
COLUMNS = {
    "whole": (["1", "-2"], [1, -2], "i8"),
    "large": ([str(BIG), "NA"], [BIG, None], "i8"),
    "large beside nan": ([str(BIG), "NaN"], [BIG, None], "i8"),
    "small beside nan": (["1", "nan"], [1, np.nan], "f8"),
    "a mark of Python's": (["1_000", "2"], ["1_000", "2"], "U5"),
    "unsigned": (["18446744073709551615", ""], [2**64 - 1, None], "u8"),
    "too large for any": (["1" * 25, "2"], ["1" * 25, "2"], "U25"),
    "float": (["1.5", "nan", "INDEF"], [1.5, np.nan, None], "f8"),
    "exponents": (["1e-18", "1E5", "--"], [1e-18, 1e5, None], "f8"),
    "endless": (["inf", "-inf"], [np.inf, -np.inf], "f8"),
    "truth": (["True", "false", "null"], [True, False, None], "?"),
    "codes": (["007", "12"], ["007", "12"], "U3"),
    "below one": (["0.5", "00.5"], [0.5, 0.5], "f8"),
    "words": (["NA", "None", "a"], ["NA", "None", "a"], "U4"),
    "none": (["NULL", ""], [None, None], "f8"),
    "signs alone": (["-", "-"], ["-", "-"], "U1"),
    "a sign beside none": (["-", ""], ["-", None], "U1"),
    "a dash beside numbers": (["-", "1.5"], [None, 1.5], "f8"),
    "maybe thousands": (['"1,000"', "2"], ["1,000", "2"], "U5"),
    "no thousands": (['"0,500"', '"1,000"'], [0.5, 1.0], "f8"),
    "dates": (["2020-01-02", ""], ["2020-01-02", None], "U10"),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_words_become_what_they_are_and_no_other(tmp_path, kind):
    words, expected, dtype = COLUMNS[kind]
    (tmp_path / "t.csv").write_text("x,c\n" + "".join(f"1,{w}\n" for w in words))
    found = read_positions(tmp_path / "t.csv")["c"]
    assert found.dtype == np.dtype(dtype)
    for value, right in zip(found.tolist(), expected, strict=True):
        assert value == right or (value != value and right != right)


def test_a_row_without_values_stays_a_row(tmp_path):
    (tmp_path / "t.txt").write_text("x y\n-- --\n1 2\n-- --\n")
    assert read_positions(tmp_path / "t.txt")["x"].tolist() == [None, 1, None]


def test_a_column_of_minus_alone_makes_declinations_southern(tmp_path):
    row = "13,37,0.912,-,29,51,56.88\n"
    (tmp_path / "t.csv").write_text("RAh,RAm,RAs,DE-,DEd,DEm,DEs\n" + 2 * row)
    _, sky = find_positions(read_positions(tmp_path / "t.csv"))
    assert sky.dec == pytest.approx(-29.8658, abs=1e-6)


def test_units_stand_above_the_dashes(tmp_path):
    (tmp_path / "v.tsv").write_text(VIZIER.replace("|", "\t"))
    table = read_positions(tmp_path / "v.tsv")
    assert str(table["_RAJ2000"].unit) == "deg"
    assert table["Name"].tolist() == ["A 1", "B, 2"]
    assert table["Vmag"].unmasked[1].value == 21.3
    assert table["Vmag"].mask.tolist() == [True, False]


def test_iraf_s_pixels_count_from_one(tmp_path):
    head = (
        "#K IRAF       = NOAO/IRAFV2.16          version    %-23s\n"
        "#N ID    XCENTER   YCENTER   MAG         MERR          \\\n"
        "#U ##    pixels    pixels    magnitudes  magnitudes    \\\n"
        "#F %-9d  %-10.3f   %-10.3f   %-12.3f     %-14.3f\n"
        "#\n"
    )
    (tmp_path / "t.als").write_text(
        head + f"{1:<9d}{138.538:<10}{256.405:<10}{15.461:<12}{0.003:<14}\n"
    )
    table = read_positions(tmp_path / "t.als")
    assert table["XCENTER"].value.tolist() == [138.538]
    assert table.meta[ORIGIN_KEY] == 1


#: What is refused, and what of the one line that says why.
REFUSED = {
    "no names": ("10 20\n30 40.5\n", r"no line of it names the columns.*'10 20'"),
    "no rows": ("# only remarks\n\n", "there is no row in it"),
    "cut short": ("x,y\n1,2\n3", "line 3 has 1 columns, 2 are named"),
    "an open quote": ('x,y,a\n1,2,"b\n3,4,c\n', "unexpected end of data"),
    "a mark in a text": ("x,y\n1,2\n3,4,5\n", "line 3 has 3 columns, 2 are named"),
    "two of a name": ("x y x\n1 2 3\n", "two of its columns are named x"),
    "LaTeX": ("\\begin{tabular}{cc}\nx & y \\\\\n1 & 2 \\\\\n", "is LaTeX"),
    "AASTeX": ("\\begin{deluxetable}{cc}\n\\startdata\n1 & 2 \\\\\n", "is LaTeX"),
    "a page": ("<!DOCTYPE html>\n<html><body>404</body></html>", "is a web page"),
    "JSON": ('{"x": [1], "y": [2]}', "is JSON"),
    "rows of JSON": ('[{"x": 1, "y": 2}]', "is JSON"),
    "prose": ("Dear all,\nthe table will follow soon.\n", "table"),
}  # fmt: skip


@pytest.mark.parametrize("ending", [".csv", ".txt", ".dat"])
@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_told_is_refused_in_one_line(tmp_path, what, ending):
    text, why = REFUSED[what]
    path = tmp_path / f"table{ending}"
    path.write_text(text)
    with pytest.raises(ValueError, match=why) as caught:
        read_positions(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ['x,y\n"1,000","2,000"\n', "x\ty\n1,000\t2,000\n"])
def test_thousands_are_no_decimals(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=r"numbers in pix in the column x.*'1,000'"):
        find_positions(read_positions(tmp_path / "t.csv"))


def test_a_table_of_one_s_own_with_a_header_is_no_survey_s(tmp_path):
    names = "id\tx\ty\tra\tdec\tflux\tfwhm\tsharp\n"
    rows = [
        f"{i}\t{100.0 + 40 * i}\t120.0\t204.25\t-29.86\t310.0\t2.5\t0.4\n"
        for i in range(4)
    ]
    path = Path(tmp_path, "mine.tab")
    path.write_text(names + "".join(rows))
    table = read_positions(path)
    assert table.colnames == names.split()
    assert table["x"].tolist() == [100, 140, 180, 220]
    assert ORIGIN_KEY not in table.meta


#: Texts that begin as a format does, and are none, and what is told of them.
HEADS = {
    "#K IRAF = x\n 1 2 3\n": "that of a table of IRAF and the rest is not",
    "#K IRAF\nid,x,y\n1,2,3\n": "that of a table of IRAF and the rest is not",
    "#K IRAF = V2\n#N X Y \\\n#U px px \\\n#\n 1.5 2\n": "that of a table of IRAF",
    "|x|y|\n|double|\n 1 2\n": "that of an IPAC table and the rest is not",
    "Byte-by-byte Description of file: x\n---\nno\n": "that of a journal's machine",
    "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: x}\nx y\n1 2\n": "of an ECSV file",
}


@pytest.mark.parametrize("text", HEADS)
def test_a_head_without_its_table_is_told_with_its_first_line(tmp_path, text):
    path = tmp_path / "t.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"t.txt: .*{HEADS[text]}") as refused:
        read_positions(path)
    assert f"its first line is {text.splitlines()[0][:60]!r}" in str(refused.value)
    assert "\n" not in str(refused.value)
