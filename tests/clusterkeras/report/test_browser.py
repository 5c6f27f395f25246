"""The page in a real browser: Debian's Chromium, or one that Playwright installed."""

import io
import itertools
import shutil

import numpy as np
import pytest
from PIL import Image

from clusterkeras.report.figures import ROW_PX
from data_tools.schema import FLAGS

LAPTOP = {"width": 1366, "height": 680}

#: Where cluster i is on the screen.
PLACE = """(i) => {
  const map = Bokeh.documents[0].get_model_by_name("map")
  const {data} = Bokeh.documents[0].get_model_by_name("table").source
  const {x_scale, y_scale} = Bokeh.index.find_one(map).frame
  const box = Bokeh.index.find_one(map).el.getBoundingClientRect()
  return [box.x + x_scale.compute(data.x[i]), box.y + y_scale.compute(data.y[i])]
}"""


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    found = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None
    )
    with playwright.sync_playwright() as running:
        try:
            # as root, as in a container, Chromium runs without its sandbox only
            browser = running.chromium.launch(
                executable_path=found, args=["--no-sandbox"]
            )
        except playwright.Error as error:
            pytest.skip(f"no Chromium is installed: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture
def tab(browser, page):
    """Return the page, loaded; no error and no request may have come up at the end."""
    tab = browser.new_page(viewport=LAPTOP)
    tab.set_default_timeout(180_000)
    said = []
    tab.on(
        "console",
        lambda m: said.append(m.text) if m.type in ("error", "warning") else None,
    )
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on(
        "request",
        lambda r: said.append(r.url) if r.url.startswith(("http", "ws")) else None,
    )
    tab.goto(page.path.as_uri())
    tab.wait_for_function("document.getElementById('count').textContent")
    tab.wait_for_function("Bokeh.documents[0].is_idle")
    yield tab
    assert said == []
    tab.close()


def rows(tab):
    """Return the texts of the rows in sight, from top to bottom."""
    found = tab.locator(".slick-row").all()
    found.sort(key=lambda row: row.bounding_box()["y"])
    return [row.locator(".slick-cell").all_inner_texts() for row in found]


def chosen(tab):
    """Return the id whose numbers are shown; the row of the table says the same."""
    name = tab.locator("#numbers caption").inner_text()
    tab.wait_for_function(
        """(name) => Bokeh.documents[0].get_model_by_name("table").source
             .selected.indices.length == 1""",
        arg=name,
    )
    row = tab.locator(".slick-row", has=tab.locator(".selected"))
    row.wait_for()
    assert row.locator(".slick-cell").first.inner_text() == name
    return name


def test_a_page_opens_on_the_best_cluster(tab):
    assert rows(tab)[0][:2] == ["c00", "1.00"]
    assert chosen(tab) == "c00"
    # p >= 0.5, less the overlap and the row without data
    assert tab.locator("#count").inner_text() == "23 of 40"


def test_numbers_come_with_units_and_flags_in_words(tab):
    tab.locator("#all").click()
    tab.locator(".slick-cell", has_text="edge, overlap").click()
    assert chosen(tab) == "c02"
    text = tab.locator("#numbers").inner_text()
    for word in ("log age", "yr", "mag", "pc", "arcsec", "edge, overlap"):
        assert word in text


def test_a_click_on_a_columns_head_sorts(tab):
    head = tab.locator(".slick-header-column", has_text="log age")
    for sign in (1, -1):
        head.click()
        tab.wait_for_timeout(300)
        ages = [float(cells[2]) for cells in rows(tab)]
        assert len(ages) > 5
        assert (sign * np.diff(ages) >= 0).all()


@pytest.mark.parametrize(
    ("name", "value", "ids"),
    [
        ("[name=id]", "C1", [f"c{i}" for i in range(10, 20)]),
        ("[data-column=p_cluster][data-bound=low]", "0.95", ["c00"]),
    ],
)
def test_the_filter_keeps_what_it_says(tab, name, value, ids):
    tab.locator(name).fill(value)
    tab.wait_for_function(
        f"document.getElementById('count').textContent == '{len(ids)} of 40'"
    )
    tab.wait_for_timeout(300)
    shown = [cells[0] for cells in rows(tab)]
    assert shown == ids[: len(shown)]


def test_flags_filter_and_all_rows_come_back(tab):
    tab.locator("[name=flags]").select_option(label="with no_data")
    tab.locator("[data-column=p_cluster][data-bound=low]").fill("")
    assert tab.locator("#count").inner_text() == "1 of 40"
    tab.locator(".slick-cell", has_text="c01").click()
    assert chosen(tab) == "c01"
    assert "no data here" in tab.locator("#cutout").inner_text()
    tab.locator("#all").click()
    assert tab.locator("#count").inner_text() == "40 of 40"


def test_a_click_on_the_map_chooses_the_row(tab, catalogue):
    names = tab.evaluate("Bokeh.documents[0].get_model_by_name('table').source.data.id")
    # the one furthest from its neighbours
    x, y = (catalogue[axis].value for axis in "xy")
    apart = np.hypot(x[:, None] - x, y[:, None] - y) + 1e6 * np.eye(len(x))
    apart[[1, 2]] = apart[24:] = 0
    name = f"c{apart.min(axis=1).argmax():02d}"
    tab.mouse.click(*tab.evaluate(PLACE, names.index(name)))
    tab.wait_for_function(
        f"document.querySelector('#numbers caption').textContent == '{name}'"
    )
    assert chosen(tab) == name


def test_arrow_keys_go_on_from_the_chosen_row(tab):
    shown = [cells[0] for cells in rows(tab)]
    tab.locator("#all").focus()
    tab.keyboard.press("Tab")
    for name in shown[1:3]:
        tab.keyboard.press("ArrowDown")
        tab.wait_for_function(
            f"document.querySelector('#numbers caption').textContent == '{name}'"
        )
        assert chosen(tab) == name
    # chosen elsewhere
    tab.evaluate(
        """() => Bokeh.documents[0].get_model_by_name("table").source.selected
             .indices = [5]"""
    )
    assert chosen(tab) == "c06"
    tab.keyboard.press("ArrowUp")
    tab.wait_for_function(
        "document.querySelector('#numbers caption').textContent == 'c05'"
    )


def test_contours_and_cutout_are_drawn(tab):
    source = tab.evaluate(
        """() => {
          const plot = Bokeh.documents[0].get_model_by_name("contours_1")
          return plot.renderers[0].data_source.data.xs.length
        }"""
    )
    assert source == 2
    image = tab.locator("#cutout image").get_attribute("href")
    assert image.startswith("data:image/jpeg;base64,/9j/")


def test_a_laptops_screen_holds_table_cluster_and_map(tab):
    for name in ("#filters", ".table", "#cluster", ".map"):
        box = tab.locator(name).bounding_box()
        assert box["y"] + box["height"] <= LAPTOP["height"]
        assert box["x"] + box["width"] <= LAPTOP["width"]


#: Finds an element inside the shadow roots that Bokeh puts its tables in.
WITHIN = """(selector) => {
  const inside = (root) => [...root.querySelectorAll("*")].flatMap(
    (e) => [...(e.matches(selector) ? [e] : []),
            ...(e.shadowRoot ? inside(e.shadowRoot) : [])])
  return inside(document).map((e) => [
    e.offsetHeight, e.offsetWidth, e.parentElement.clientWidth])
}"""
TELEPHONE, TABLET = {"width": 390, "height": 844}, {"width": 800, "height": 900}
SCREEN = {"width": 1920, "height": 1080}


def regions(tab):
    """Return how many polygons are drawn in each plane."""
    return [
        tab.evaluate(
            f"""() => Bokeh.documents[0].get_model_by_name("contours_{i}")
                .renderers[0].data_source.data.xs.length"""
        )
        for i in (0, 1)
    ]


def test_a_cluster_that_is_filtered_away_leaves_the_hint_alone(tab):
    assert chosen(tab) == "c00"
    assert min(regions(tab)) > 0
    tab.locator("[name=id]").fill("c1")
    tab.wait_for_function(
        "document.getElementById('cluster').classList.contains('empty')"
    )
    assert regions(tab) == [0, 0]
    assert tab.locator("#numbers").inner_text() == ""
    # nothing lies over the hint
    for share in (0.1, 0.5, 0.9):
        top = tab.evaluate(
            """(share) => {
              const box = document.getElementById("cluster").getBoundingClientRect()
              return document.elementFromPoint(
                box.x + share * box.width, box.y + box.height / 2).id
            }""",
            share,
        )
        assert top == "none"
    tab.locator(".slick-cell", has_text="c11").click()
    assert chosen(tab) == "c11"
    assert min(regions(tab)) > 0
    assert not tab.locator("#none").is_visible()


def test_a_cluster_that_the_filter_keeps_stays_chosen(tab):
    tab.locator("[data-column=p_cluster][data-bound=low]").fill("0.9")
    tab.wait_for_timeout(300)
    assert chosen(tab) == "c00"


def test_a_table_without_rows_says_why(tab):
    assert not tab.locator("#nothing").is_visible()
    tab.locator("[name=id]").fill("no such id")
    said = tab.locator("#nothing")
    said.wait_for()
    assert "No cluster fits the filter" in said.inner_text()
    tab.locator("#all").click()
    said.wait_for(state="hidden")


def test_p_is_summed_over_the_rows_that_the_filter_keeps(tab):
    p = np.linspace(1, 0.2, 40)
    known = np.arange(40) != 1
    kept = known & (np.arange(40) != 2) & (p >= 0.5)
    assert float(tab.locator("#expected").inner_text()) == pytest.approx(
        p[kept].sum(), abs=0.06
    )
    tab.locator("#all").click()
    assert float(tab.locator("#expected").inner_text()) == pytest.approx(
        p[known].sum(), abs=0.06
    )


def test_the_map_marks_all_the_likely_or_the_chosen(tab):
    tab.locator("#all").click()
    tab.locator(".slick-cell", has_text="c00").click()
    shots = {}
    for marks in ("all", "likely", "chosen"):
        tab.locator("[name=marks]").select_option(marks)
        tab.wait_for_timeout(600)
        shot = Image.open(io.BytesIO(tab.locator(".plot").screenshot()))
        shots[marks] = np.asarray(shot.convert("RGB"), int)

    def changed(first, second):
        return (np.abs(shots[first] - shots[second]).max(axis=-1) > 30).sum()

    # some 14 crosses, some 25 circles
    assert changed("all", "likely") > 50
    assert changed("likely", "chosen") > 200
    ring = np.abs(shots["chosen"] - (89, 240, 138)).max(axis=-1) < 20
    assert ring.sum() > 20


@pytest.mark.parametrize("size", [TELEPHONE, TABLET, LAPTOP, SCREEN])
def test_no_screen_is_too_narrow(tab, size):
    tab.set_viewport_size(size)
    tab.wait_for_timeout(500)
    assert tab.evaluate("document.documentElement.scrollWidth") <= size["width"]
    boxes = [
        part.bounding_box()
        for part in tab.locator("#cutout, .contours, #numbers").all()
    ]
    assert len(boxes) == 4
    for a, b in itertools.combinations(boxes, 2):
        beside = a["x"] + a["width"] <= b["x"] + 1 or b["x"] + b["width"] <= a["x"] + 1
        below = a["y"] + a["height"] <= b["y"] + 1 or b["y"] + b["height"] <= a["y"] + 1
        assert beside or below


@pytest.mark.parametrize("size", [TELEPHONE, TABLET, LAPTOP, SCREEN])
def test_heads_are_one_line_and_no_row_is_cut(tab, size):
    tab.set_viewport_size(size)
    tab.wait_for_timeout(500)
    # one of four panes is in use
    panes = tab.evaluate(WITHIN, ".slick-viewport")
    (height,) = (height for height, _, _ in panes if height)
    assert height > 100
    assert height % ROW_PX == 0
    heads = tab.evaluate(WITHIN, ".slick-column-name")
    assert len(heads) == 9
    for height, width, room in heads:
        assert 8 < height < 22
        assert width < room


def test_a_page_whose_best_row_is_filtered_opens_on_the_next(
    browser, catalogue, images, model, tmp_path
):
    from clusterkeras.report.page import write_page

    table = catalogue[:5].copy()
    table["flags"][0] = FLAGS["overlap"][0]
    write_page(table, images, tmp_path / "r.html", model, progress=False)
    tab = browser.new_page(viewport=LAPTOP)
    tab.goto((tmp_path / "r.html").as_uri())
    tab.wait_for_function("document.getElementById('count').textContent")
    assert chosen(tab) == "c03"
    tab.close()
