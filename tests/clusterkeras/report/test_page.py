"""The page as a file."""

import html
import logging
import re

import numpy as np
import pytest

from clusterkeras.completeness.function import fit_completeness
from clusterkeras.config import ReportConfig
from clusterkeras.report.page import write_page
from data_tools.schema import FLAGS


def test_a_page_fetches_nothing(page):
    text = re.sub(r"<script[^>]*>.*?</script>", "", page.text, flags=re.DOTALL)
    assert len(text) < 60_000
    assert not re.search(r"\ssrc=|@import|url\((?!data:)", text)
    assert re.findall(r"\shref=\"([^\"]*)", text) == ["data:,"]
    # all scripts are in the page
    assert not re.search(r"<script[^>]*\ssrc=", page.text)


def test_a_page_says_what_made_the_catalogue(page, catalogue):
    text = html.unescape(page.text)
    for word in (catalogue.meta["configuration_hash"], "F814W.fits", "CCM89"):
        assert word in text
    for name, (_, words) in FLAGS.items():
        assert name in text
        assert words in text


def test_a_page_of_all_rows_says_so(page, catalogue):
    assert f"All {len(catalogue)} rows of catalogue" in page.text
    text = " ".join(page.text.split())
    n = catalogue.are_clusters(0.5).sum()
    assert f"{n} are taken for clusters: p ≥ 0.5, no overlap." in text
    assert page.report.shown == page.report.rows == len(catalogue)


def test_a_page_names_the_bands_of_its_colours_and_the_scale(page):
    text = " ".join(page.text.split())
    assert "red F814W, green F438W + F814W, blue F336W" in text
    # 21.8 pc an arcsec
    assert "100 px = 3.96″ = 86.4 pc" in text


def test_a_page_of_the_best_rows_says_so(catalogue, images, model, tmp_path):
    path = tmp_path / "best.html"
    report = write_page(
        catalogue, images, path, model, ReportConfig(n=7), progress=False
    )
    assert (report.shown, report.rows) == (7, 40)
    text = " ".join(path.read_text().split())
    assert "The best 7 of the 40 rows of catalogue by p_cluster" in text
    # c02, the second best with a posterior, is an overlap
    assert "6 are taken for clusters" in text


@pytest.mark.parametrize(("p", "value"), [(0.6, "0.5"), (0.4, "")])
def test_a_page_begins_with_likely_rows_and_with_all_where_none_is(
    catalogue, images, model, tmp_path, p, value
):
    table = catalogue[:3]
    table["p_cluster"] = p
    write_page(table, images, tmp_path / "r.html", model, progress=False)
    text = " ".join((tmp_path / "r.html").read_text().split())
    assert f'aria-label="p from" placeholder="from" value="{value}"' in text


def test_contours_of_another_answer_are_said_to_be_so(
    catalogue, images, model, tmp_path, caplog
):
    table = catalogue[:5]
    table["log_age_median"] = table["log_age_p84"]
    with caplog.at_level(logging.WARNING):
        write_page(table, images, tmp_path / "r.html", model, progress=False)
    assert "not the catalogue's for 4 of 5 clusters" in caplog.text
    assert 'role="alert"' in (tmp_path / "r.html").read_text()


def test_the_same_answer_raises_no_alert(page):
    assert 'role="alert"' not in page.text


def test_a_name_cannot_break_the_page(catalogue, images, model, tmp_path):
    table = catalogue[:2]
    table["id"] = ["</script><b>", "x"]
    write_page(table, images, tmp_path / "r.html", model, progress=False)
    assert "</script><b>" not in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.meta.pop("model"), r"name no model.*--model"),
        (lambda table: table.remove_rows(slice(None)), r"at least one row"),
        (lambda table: table.remove_column("x"), r"no column x"),
    ],
)
def test_a_table_that_cannot_be_shown_is_refused(
    catalogue, images, tmp_path, change, message
):
    table = catalogue.copy()
    change(table)
    with pytest.raises(ValueError, match=message):
        write_page(table, images, tmp_path / "r.html", progress=False)


def test_a_catalogue_without_any_posterior_gives_a_page(
    catalogue, images, model, tmp_path
):
    report = write_page(
        *(catalogue[1:2], images, tmp_path / "r.html", model), progress=False
    )
    assert report.shown == 1


@pytest.fixture
def completeness(model, tmp_path):
    """Return the file of a function by which the massive are found."""
    rng = np.random.default_rng(6)
    low, high = np.transpose([*model.target.box.values(), (0, 1)])
    features = rng.uniform(low, high, (100, 5))
    found = features[:, 2] > rng.normal(4, 0.2, 100)
    path = tmp_path / "completeness.json"
    outcomes = {"detected": found, "recovered": found}
    fit_completeness(features, outcomes, np.zeros((2, 2)), 64, path, {})
    return path


def test_figures_show_the_completeness(
    catalogue, images, model, tmp_path, completeness
):
    path = tmp_path / "r.html"
    write_page(
        *(catalogue[:9], images, path, model),
        completeness=completeness,
        progress=False,
    )
    text = " ".join(path.read_text().split())
    assert "half (dashed) and 90 % (solid) are found, at A_V" in text
    assert "clusters / completeness" in text


def test_figures_without_completeness_do_not_mention_it(page):
    assert "clusters / completeness" not in page.text


def test_a_page_that_is_no_html_is_refused(catalogue, images, tmp_path):
    with pytest.raises(ValueError, match=r"to end in .html"):
        write_page(catalogue, images, tmp_path / "report.pdf", progress=False)
