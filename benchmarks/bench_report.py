"""How long a report's page of many clusters takes to make, and its reader to use.

Makes pages of the likeliest rows of one catalogue, of every size asked for, and opens
each in Chromium in turn, a new browser for each: until the table and the map stand, a
sort by age, a filter by mass, the choice of another cluster, one arrow key. The sizes
are timed in the same run, so that what matters, how the times grow with the clusters,
does not hang on the machine.

    python benchmarks/bench_report.py demo/catalogue.ecsv \
        --images demo/mosaic/F336W.fits demo/mosaic/F438W.fits demo/mosaic/F814W.fits
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

LAPTOP = {"width": 1366, "height": 680}

#: The counts stand, and nothing more is to be drawn.
READY = "document.getElementById('count').textContent && Bokeh.documents[0].is_idle"
COUNT = "document.getElementById('count').textContent"
NAME = "document.querySelector('#numbers caption').textContent"
CHOOSE = """i => { Bokeh.documents[0].get_model_by_name('table').source.selected
    .indices = [i] }"""
DRAWN = "new Promise(f => requestAnimationFrame(() => setTimeout(f)))"


def timed(tab: Page, act: Callable[[], object], done: str) -> float:
    """Return the seconds of an action until `done` holds and the screen is drawn.

    `done` is an expression of the page, or the selector of what has to be there: only
    the latter looks into the shadow tree of the table.
    """
    start = time.perf_counter()
    act()
    if done.startswith("."):
        tab.locator(done).first.wait_for()
    else:
        tab.wait_for_function(done)
    tab.evaluate(DRAWN)
    return time.perf_counter() - start


def use(tab: Page, url: str) -> dict[str, float]:
    """Do what a reader does; give the seconds of each step."""
    tab.set_default_timeout(180_000)
    start = time.perf_counter()
    timed(tab, lambda: tab.goto(url), READY)
    timed(tab, lambda: None, ".slick-row")
    seconds = {"load": time.perf_counter() - start}

    before = tab.evaluate(COUNT)
    all_rows = tab.locator("#all")
    seconds["all rows"] = timed(tab, all_rows.click, f"{COUNT} != '{before}'")
    head = tab.locator(".slick-header-column", has_text="log age")
    seconds["sort"] = timed(tab, head.click, ".slick-header-column-sorted")
    before = tab.evaluate(COUNT)
    mass = tab.locator("[data-column=log_mass][data-bound=low]")
    seconds["filter"] = timed(tab, lambda: mass.fill("3.5"), f"{COUNT} != '{before}'")
    for step, act in (
        ("choose", lambda: tab.evaluate(CHOOSE, 7)),
        ("arrow key", lambda: tab.keyboard.press("ArrowDown")),
    ):
        if step == "arrow key":
            all_rows.focus()
            tab.keyboard.press("Tab")
        name = tab.evaluate(NAME)
        seconds[step] = timed(tab, act, f"{NAME} != '{name}'")
    return seconds


def main() -> None:
    """Print a table of seconds and megabytes, a line for each size of page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("catalogue", type=Path, help="of `clusterkeras infer`")
    parser.add_argument("--images", type=Path, nargs="+", required=True)
    parser.add_argument("--n", type=int, nargs="+", default=[500, 5000])
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()

    from clusterkeras import write_page
    from clusterkeras.config import ReportConfig
    from clusterkeras.evaluation.words.markdown import markdown_table

    browser_path = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None
    )
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as running:
        pages = {}
        for n in arguments.n:
            page = Path(directory) / f"{n}.html"
            start = time.perf_counter()
            config = ReportConfig(n=n)
            write_page(
                arguments.catalogue,
                arguments.images,
                page,
                config=config,
                progress=False,
            )
            pages[n] = (page, time.perf_counter() - start)
        rows: dict[int, list[dict[str, float]]] = {n: [] for n in pages}
        for _ in range(arguments.repeats):
            for n, (page, _made) in pages.items():
                browser = running.chromium.launch(
                    executable_path=browser_path, args=["--no-sandbox"]
                )
                rows[n].append(use(browser.new_page(viewport=LAPTOP), page.as_uri()))
                browser.close()
        steps = list(next(iter(rows.values()))[0])
        table = []
        for n, (page, made) in pages.items():
            medians = (statistics.median(r[step] for r in rows[n]) for step in steps)
            size = page.stat().st_size / 1e6
            seconds = (f"{m:.2f}" for m in medians)
            table.append([f"{n:,}", f"{size:.1f}", f"{made:.0f}", *seconds])
        head = ["clusters", "MB", "made [s]", *(f"{s} [s]" for s in steps)]
        print(markdown_table(head, table))


if __name__ == "__main__":
    main()
