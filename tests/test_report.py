"""Reports of comparisons: the page, the tables, the figures, the files."""

import base64
import csv
import dataclasses
import html
import html.parser
import json
import math
import re
import shutil
import subprocess

import numpy as np
import pytest
from markdown_it import MarkdownIt  # which comes with rich

from adaptive_jax.lab import Comparison
from adaptive_jax.lab.analysis import analyze
from adaptive_jax.lab.cli.compare import _show
from adaptive_jax.lab.report import figures, write_report
from adaptive_jax.lab.report.description import train_command
from adaptive_jax.lab.report.tables import difference_columns, result_columns, shown_pairs
from adaptive_jax.lab.training import records as disk
from adaptive_jax.registry import OPTIMIZERS
from tests import synthetic

pytestmark = pytest.mark.relaxed

SIX = (
    "sgd:momentum=0.9",
    "adam",
    "adam:learning_rate=0.1",
    "adabound",
    "rmsprop",
    "adagrad:learning_rate=0.02,eps=1e-07",
)
EPOCHS = 6


def made(optimizers, workloads=("digits",), **arguments):
    """Records in which the optimizers are ever worse, and the first run of the last diverges."""
    scores = {
        (workload, optimizer): 0.95 - 0.004 * i
        for workload in workloads
        for i, optimizer in enumerate(optimizers)
    }
    diverged = {(workload, optimizers[-1]): [0] for workload in workloads}
    arguments = {"epochs": EPOCHS, "diverged": diverged, "seeds": 3} | arguments
    counts = np.zeros((EPOCHS, 40), int)
    counts[:, 15:20] = [1, 5, 9, 5, 1]
    return [
        dataclasses.replace(run, rates=counts.tolist() if run.optimizer.startswith("ada") else None)
        for run in synthetic.records(scores, **arguments)
    ]


def written(folder, runs, formats=("html",)):
    """The page's text, after the records were written to the folder and reported on."""
    Comparison(runs).save(folder, formats)
    return (folder / "report.html").read_text(encoding="utf-8")


class Page(html.parser.HTMLParser):
    """What a page consists of; every tag must be closed by one of its kind."""

    VOID = ("meta", "link", "wbr")

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.tables, self.images = [], [], [], [], []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        self.ids += [value for name, value in attributes if name == "id"]
        self.links += [known[name] for name in ("src", "href", "xlink:href") if name in known]
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append({"text": "", **known})
        if tag == "svg":
            self.images.append(known)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.handle_endtag(tag)

    def handle_data(self, data):
        self.text += data
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1]["text"] += data


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    """A folder with all reports of six optimizers, and their records."""
    folder = tmp_path_factory.mktemp("six")
    runs = made(SIX)
    (folder / "config.json").write_text('{"workload": "<digits>"}')
    written(folder, runs, ("html", "md", "csv", "png"))
    return folder, runs


def check_page(text, analysis):
    """Whole, alone, and with every optimizer in its table in the order of the analysis."""
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    inside = [link[1:] for link in page.links if link.startswith("#")]
    inside += re.findall(r"url\(#([^)]+)\)", text)
    assert inside and set(inside) <= set(page.ids)
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"|http-equiv', "", text)
    assert all(image["aria-label"] and image["role"] == "img" for image in page.images)
    assert not re.search(r"(?:fill|stroke): #", text)  # all colors follow the page
    for each in analysis.workloads:
        heads, *lines = page.tables.pop(0)
        columns = result_columns(each)
        assert [head["text"] for head in heads] == [c.title for c in columns] + ["records"]
        assert len(lines) == len(each.summaries)
        for line, row in zip(lines, each.summaries, strict=True):
            for cell, column in zip(line, columns, strict=False):
                assert column.text(row) in cell["text"]
                value = column.value(row)
                if isinstance(value, str):
                    assert cell["data-value"] == value
                elif math.isnan(value):
                    assert cell["data-value"] == ""
                else:
                    assert float(cell["data-value"]) == value
            assert all(record in line[-1]["text"] for record in row.ids)
        _, *lines = page.tables.pop(0)
        assert len(lines) == len(shown_pairs(each))
    return page


def test_two_optimizers(tmp_path):
    runs = made(SIX[:2])
    page = check_page(written(tmp_path, runs), analyze(runs))
    assert analyze(runs).verdict in page.text


def test_six_optimizers(six):
    folder, runs = six
    text = (folder / "report.html").read_text()
    page = check_page(text, analyze(runs))
    # Loss and metric, rate, differences, target and cost, and the rates of four.
    assert len(page.images) == 2 + 1 + 1 + 2 + 4
    assert "adaptive-jax compare --config config.json" in text
    assert '{"workload": "<digits>"}' in page.text and "&lt;digits&gt;" in text
    assert "not a direction times a scale per coordinate: sgd momentum=0.9, rmsprop." in text


def test_all_optimizers_are_a_page_of_moderate_size(tmp_path):
    runs = made(list(OPTIMIZERS), seeds=10, tune=2)
    text = written(tmp_path, runs)
    page = check_page(text, analyze(runs))
    groups = math.ceil(len(OPTIMIZERS) / figures.GROUP)
    assert len(page.images) > 4 * groups and len(text) < 3e6
    assert "differences.csv has them all" in text


@pytest.mark.parametrize("count", [2, 4])
def test_several_workloads(tmp_path, count):
    workloads = ["digits", "a <b>&", "third", "fourth"][:count]
    runs = made(SIX[:2], workloads, losses=["third"], seeds=2, tune=0)
    text = written(tmp_path, runs)
    page = check_page(text, analyze(runs))
    assert page.tables[0][1][0]["text"] == "sgd momentum=0.9"  # the standings
    starts = re.findall(r"Learning curves.*?var\(--c(\d)\)", text, re.S)
    assert starts == ["0"] * count  # the same color on all of them
    assert "<b>&" not in text and "a &lt;b&gt;&amp;" in text
    assert page.text.count("Learning curves") == count
    assert ("Performance profiles" in page.text) == (count == 4)


def test_an_interrupted_comparison_shows_what_there_is(tmp_path):
    runs = [run for run in made(SIX[:2]) if run.phase != "final"]
    page = Page(written(tmp_path, runs, ("html", "md", "csv", "png")))
    assert len(page.images) == 1 and not page.tables
    assert "No optimizer has final runs yet." in page.text
    assert repr(Comparison(runs)) == "No optimizer has final runs yet."


def test_one_seed_has_no_intervals(tmp_path):
    page = Page(written(tmp_path, made(SIX[:3], seeds=1, diverged={})))
    results, differences = page.tables
    assert not any("±" in cell["text"] for line in results for cell in line)
    assert [line[3]["text"] for line in differences] == ["95% interval", "", "", ""]


def test_flags(tmp_path):
    edge, constant = "edge of the grid", "The learning rate was constant"
    text = written(tmp_path / "decayed", made(SIX[1:2]))
    assert edge not in text and constant not in text
    runs = [dataclasses.replace(run, schedule="constant") for run in made(SIX[1:3], tune=2)]
    text = written(tmp_path / "constant", runs)
    assert text.count(edge) == 1 and constant in text  # the second was not tuned


def test_markdown(six):
    folder, runs = six
    text = (folder / "report.md").read_text()
    (each,) = analyze(runs).workloads
    assert text.startswith(f"# Optimizers on digits\n\n{each.verdict}\n")
    tables = re.findall(r"(?:^\|.*\|\n)+", text, re.M)
    contents = (result_columns(each), each.summaries), (difference_columns(each), each.differences)
    for table, (columns, rows) in zip(tables, contents, strict=True):
        cells = [re.split(r" \| ", line.strip("| ")) for line in table.splitlines()]
        expected = [[column.text(row).strip() for column in columns] for row in rows]
        assert [[cell.strip() for cell in line] for line in cells[2:]] == expected


HOSTILE = (
    "$\\frac$",
    "[/red]<script>alert(1)</script>",
    '=HYPERLINK("http://x")\n| a | b |\n\n# c',
    "_private_ *b* `c` ~~d~~ [e](http://f) &lt; \\| $x$ <!-- g :+1: :+1:",
    "-1. h\0\ud800\x1b[31m\u202e",
    "i" * 300,
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The folder and the records of a comparison in which every name is one of those."""
    folder = tmp_path_factory.mktemp("hostile")
    ours = dict(
        zip(("sgd", "adam", "adabound", "rmsprop", "adagrad", "lion"), HOSTILE, strict=True)
    )
    runs = made(tuple(ours), workloads=("first", "second"))
    names = {"first": HOSTILE[2], "second": HOSTILE[0]}
    runs = [
        dataclasses.replace(run, optimizer=ours[run.optimizer], workload=names[run.workload])
        for run in runs
    ]
    written(folder, runs, ("html", "md", "csv"))
    return folder, runs


def words(name):
    """Of a name as it is shown: a colon begins the settings of an optimizer."""
    return re.sub(r"[^ -~]|:", " ", name).split()


def check_names(table):
    """Every line of a table has as many cells, and is that of one of the names."""
    names = [words(line[0]["text"]) for line in table[1:]]
    assert sorted(names) == sorted(map(words, HOSTILE))
    assert len({len(line) for line in table}) == 1


def test_hostile_names_are_text_in_the_page(hostile):
    folder, _ = hostile
    text = (folder / "report.html").read_text()
    check = Page(text)
    assert text.count("<script>") == 1 and "<!-- g" not in text
    check_names(check.tables[0])
    check_names(check.tables[2])
    shown = " ".join(words(check.text))
    for name in HOSTILE[:-1]:
        assert shown.count(" ".join(words(name))) > 12  # in tables, captions, legends and axes


def test_hostile_names_are_text_in_a_notebook(hostile):
    _, runs = hostile
    text = Comparison(runs)._repr_html_()
    assert "<script" not in text and "<!--" not in text
    for table in Page(text).tables:
        check_names(table)


def test_hostile_names_are_text_in_markdown(hostile):
    folder, _ = hostile
    text = (folder / "report.md").read_text()
    rendered = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    page = Page(rendered.render(text))
    tags = set(re.findall(r"<(\w+)", rendered.render(text)))
    blocks = "h1 h2 h3 p ul li pre code table thead tbody tr th td"
    assert tags <= set(blocks.split())
    assert not page.links
    check_names(page.tables[0])
    check_names(page.tables[2])


def test_hostile_names_are_no_formulas_in_spreadsheets(hostile):
    folder, _ = hostile
    for name in ("results", "differences"):
        with (folder / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        texts = [line[key] for line in lines for key in line if not is_number(line[key])]
        assert not [text for text in texts if text[:1] in tuple("=+-@\t\r\n")]
        assert {"'" + HOSTILE[2]} < set(texts)


def is_number(text):
    try:
        return bool(float(text)) or True
    except ValueError:
        return False


def test_hostile_names_are_printed_as_they_are(hostile, capsys):
    folder, runs = hostile
    _show(folder, ("md",))
    out = capsys.readouterr().out
    assert "[/red]<script>" in out and "$\\frac$" in out and ":+1:" in out and "\x1b" not in out
    assert "[/red]<script>" in repr(Comparison(runs))


def test_csv_has_every_number_in_full(six):
    folder, runs = six
    (each,) = analyze(runs).workloads
    for name, rows in (("results", each.summaries), ("differences", each.differences)):
        with (folder / f"{name}.csv").open(newline="") as file:
            lines = list(csv.DictReader(file))
        assert len(lines) == len(rows)
        for line, row in zip(lines, rows, strict=True):
            assert line.pop("workload") == "digits"
            for field, value in dataclasses.asdict(row).items():
                if isinstance(value, float):
                    np.testing.assert_equal(float(line[field]), value)
                elif isinstance(value, tuple):
                    assert tuple(line[field].split()) == value
                else:
                    assert line[field] == str(value)


def test_the_page_holds_the_tables_as_csv(six):
    folder, _ = six
    text = (folder / "report.html").read_text(encoding="utf-8")
    for name in ("results.csv", "differences.csv"):
        (data,) = re.findall(rf'href="data:text/csv;base64,([^"]+)" download="{name}"', text)
        assert base64.b64decode(data) == (folder / name).read_bytes()


def test_pictures(six):
    folder, _ = six
    names = ("learning_curves", "tuning", "differences", "costs", "effective_learning_rates")
    for name in names:
        assert (folder / f"digits-{name}.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(folder.glob("*.png"))) == len(names)


def test_formats_are_checked(six):
    with pytest.raises(ValueError, match="no format 'pgn': did you mean 'png'"):
        write_report(six[0], ("html", "pgn"))


def test_commands_repeat_runs():
    run = made(SIX)[-1]
    assert run.phase == "final"
    assert train_command(run) == (
        f"adaptive-jax train digits --optimizer {SIX[-1]} --set learning_rate=0.02 "
        f"--seed 2 --epochs {EPOCHS} --schedule cosine"
    )


def test_text_tables():
    (accuracy,) = analyze(made(["adam"], seeds=5, noise=0, diverged={})).workloads
    brief = [column for column in result_columns(accuracy) if column.brief]
    assert {column.title: column.text(accuracy.summaries[0]) for column in brief} == {
        "optimizer": "adam",
        "learning rate": "0.001",
        "test %": "95.00 ± 0.09",  # the resolution of 400 examples
        "test loss": "0.1150",
        "train %": "95.00",
        "diverged": "0/5",
        "s/run": "0.024",
    }
    (cut,) = analyze(made(["adam"], seeds=3, noise=0.02, seed=1, diverged={})).workloads
    (test,) = [column for column in result_columns(cut) if column.title == "test %"]
    assert re.fullmatch(r"9\d\.\d\d \(\d\d\.\d\d to 100\.00\)", test.text(cut.summaries[0]))
    (loss,) = analyze(made(["adam"], losses=["digits"], noise=0, tune=2, diverged={})).workloads
    brief = [column for column in result_columns(loss) if column.brief]
    assert {column.title: column.text(loss.summaries[0]) for column in brief} == {
        "optimizer": "adam",
        "learning rate": "0.001*",
        "test loss": "0.9500 ± 0.0000",
        "train loss": "0.9500",
        "diverged": "0/3",
        "s/run": "0.024",
    }


def test_the_result_in_python(six):
    folder, runs = six
    comparison = Comparison.load(folder)
    assert comparison.verdict == analyze(runs).verdict
    rows = comparison.table()
    assert [row["optimizer"] for row in rows] == [
        row.optimizer for row in comparison.analysis.workloads[0].summaries
    ]
    assert rows[0]["workload"] == "digits" and isinstance(rows[0]["mean"], float)
    assert comparison.verdict in repr(comparison) and "adabound" in repr(comparison)
    shown = Page(comparison._repr_html_())
    assert len(shown.tables[0]) == 7 and html.escape(comparison.verdict) in shown.text
    loss, metric = comparison.plot_learning_curves()
    assert loss.get_yscale() == "log" and metric.get_title("left") == "validation accuracy"
    assert loss.figure is metric.figure or loss.figure.figure is metric.figure.figure
    assert [ax.get_title("left") for ax in comparison.plot_tuning()] == [
        "validation accuracy of the tuning runs"
    ]
    drawn = [dataclasses.replace(run, search="random") for run in runs]
    titles = [ax.get_title("left") for ax in Comparison(drawn).plot_tuning()]
    assert titles[1] == "best validation accuracy so far"
    assert len(comparison.plot_differences("digits")) == 1
    assert len(comparison.plot_costs()) == 5
    assert len(comparison.plot_effective_learning_rates()) == 4


def test_the_result_refuses(six, tmp_path):
    folder, runs = six
    with pytest.raises(ValueError, match="workload must be one of digits, got 'digit'"):
        Comparison(runs).plot_costs("digit")
    with pytest.raises(ValueError, match="nothing to plot tuning from"):
        Comparison([run for run in runs if run.phase == "final"]).plot_tuning()
    with pytest.raises(ValueError, match="holds other runs than these"):
        Comparison(runs[:-1]).save(folder)


def test_saving_elsewhere_takes_the_config_along(six, tmp_path):
    folder, runs = six
    Comparison.load(folder).save(tmp_path / "copy", ())
    assert len(list(disk.read(tmp_path / "copy" / "runs.jsonl"))) == len(runs)
    assert (tmp_path / "copy" / "config.json").read_text() == (folder / "config.json").read_text()


# In a browser

BROWSER = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--enable-logging=stderr",
    "--v=0",
]


def browse(path, folder):
    """The page's tree after its scripts ran, what the console said, and what was asked for."""
    log = folder / "net.json"
    profile = f"--user-data-dir={folder / 'profile'}"
    done = subprocess.run(
        [BROWSER, *QUIET, profile, f"--log-net-log={log}", "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    asked = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    urls = [
        each["url"]
        for each in asked
        if each.get("url", "").startswith("http")
        and each.get("initiator", "not an origin") != "not an origin"  # but the browser itself
    ]
    return done.stdout, console, urls


PROBE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>to come</title>
<iframe srcdoc="PAGE" style="border: 0; height: 800px; width: 390px"></iframe>
<script>
addEventListener("load", () => {
  const page = document.querySelector("iframe").contentDocument;
  const root = page.documentElement;
  const found = { width: root.scrollWidth, frame: root.clientWidth, sorted: [] };
  const table = page.querySelector("table");
  for (const title of ["test %", "test %", "diverged", "optimizer", "seconds to target"]) {
    const header = [...table.tHead.rows[0].cells].find((head) => head.textContent === title);
    header.querySelector("button").click();
    const order = [...table.tBodies[0].rows].map((row) => row.cells[0].textContent);
    const marked = table.querySelectorAll("[aria-sort]");
    found.sorted.push([header.getAttribute("aria-sort"), marked.length, order]);
  }
  document.title = JSON.stringify(found);
});
</script></html>
"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on the path")
def test_in_a_browser(six, tmp_path):
    folder, runs = six
    rows = analyze(runs).workloads[0].summaries
    text = (folder / "report.html").read_text()
    control = tmp_path / "control.html"
    control.write_text('<img src="http://127.0.0.1:9/x.png"><script>console.error(1)</script>')
    _, console, urls = browse(control, tmp_path)
    assert len(console) == 1 and urls == ["http://127.0.0.1:9/x.png"]
    tree, console, urls = browse(folder / "report.html", tmp_path)
    assert "<button" in tree and "<button" not in text  # the script ran, nothing else needs it
    assert not console and not urls
    page = html.escape(text)
    (tmp_path / "probe.html").write_text(PROBE.replace("PAGE", page))
    tree, console, urls = browse(tmp_path / "probe.html", tmp_path)
    assert not console and not urls
    found = json.loads(html.unescape(re.search("<title>(.*?)</title>", tree)[1]))
    assert found["width"] <= found["frame"] <= 390  # tables scroll in their boxes
    name = {row.optimizer: cell for row, cell in zip(rows, found["sorted"][0][2], strict=True)}

    def expected(key):
        return [name[row.optimizer] for row in sorted(rows, key=key)]

    assert found["sorted"] == [
        ["descending", 1, expected(lambda row: -row.mean)],
        ["ascending", 1, expected(lambda row: row.mean)],
        ["ascending", 1, expected(lambda row: (row.diverged / row.runs, row.mean))],  # stable
        ["ascending", 1, sorted(name.values())],
        ["ascending", 1, expected(lambda row: (row.seconds_to_target, name[row.optimizer]))],
    ]
