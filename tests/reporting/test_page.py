"""The page: complete, self-contained, escaped, and the same every time."""

import base64
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from reporting.example import HOSTILE, PARAMS, method_result, write

from fieldmark.base.errors import UserError
from fieldmark.reporting.build import build_report
from fieldmark.reporting.page import TrackView, _claim_track, data_uri, fingerprint, measure_table
from fieldmark.results.schema import Claim, MethodResult

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects the tags, attributes and visible text, and checks that every tag is closed."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open, self.ids = [], [], [], [], set()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids |= {value for name, value in attrs if name == "id"}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join("".join(self.texts).split())


def build(root, **changes):
    return build_report(root / "reports", root / "data/prepared", {**PARAMS, **changes})


def test_a_note_stands_on_top_of_page_and_summary(root):
    page, summary = build(root, note=f"They mean nothing. {HOSTILE}")
    assert Page(page).text.index("They mean nothing.") < Page(page).text.index("Results Each method")
    assert summary.splitlines()[2].startswith("**They mean nothing. ")
    assert "<script>alert" not in page + summary
    without = build(root)
    assert "They mean nothing" not in "".join(without)
    assert fingerprint({**PARAMS, "note": "a"}) == fingerprint(PARAMS)  # it decides no result


def test_a_note_that_is_no_text_is_refused(root):
    with pytest.raises(UserError, match="note must be a sentence"):
        build(root, note=["a"])


@pytest.fixture
def html(root):
    return build(root)[0]


def test_is_well_formed_and_loads_nothing(html):
    page = Page(html)
    assert not page.open
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    addresses = [value for name, value in page.attributes if name in ("src", "href", "srcset", "action")]
    assert addresses
    for value in addresses:
        assert value.startswith(("#", "data:image/"))
    assert {value[1:] for value in addresses if value.startswith("#")} <= page.ids
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert "url(" not in html
    assert "@import" not in html


def test_hostile_names_show_as_text(html):
    page = Page(html)
    assert "<script" not in html
    shown = " ".join(HOSTILE.split())
    for text in (f"IRT {shown}", f"A note {shown}", f"{shown} = b.png", f"KoLeo helps {shown}"):
        assert text in page.text
    assert "{{ 7*7 }}" in page.text
    assert HOSTILE in [value for name, value in page.attributes if name == "alt"]


def test_numbers_claims_and_data_are_shown(html):
    text = Page(html).text
    for expected in (
        "65.5", "64.0 – 67.0", "+3.5 points", "95 % interval +1.2 to +5.8", "✓holds", "✗does not hold",
        "−3", "−4.5 to −1.5", "not measured", "?undecided", "Not evaluated yet: frpt", "1.25 M",
        "38 to 41", "Warning: no two pictures are equal", "1 checks passed, 1 warning", "largest class over smallest",
    ):  # fmt: skip
        assert expected in text, expected


def test_phrases_are_shown_with_their_tags(html, root):
    text = Page(html).text
    shown = " ".join(HOSTILE.split())
    for expected in (
        "pictures without phrases3", "0 to 25, 16.8 on average", "1.0 %", "tagger: built-in lexicon",
        f"{shown} 1 493", f"{shown} NN", "NP: {<JJ>*<NN>}", "1 captions, their tags and phrases",
    ):  # fmt: skip
        assert expected in text, expected
    write(root / "reports/results/phrases/birds.json", {"dataset": "birds"})
    with pytest.raises(UserError, match=r"phrases/birds\.json: split: Field required"):
        build(root)
    (root / "reports/results/phrases/birds.json").unlink()
    assert "Noun phrases" not in Page(build(root)[0]).text


def test_a_clip_has_its_scores_and_its_picture(html):
    page = Page(html)
    assert "clip_models" in page.ids
    assert "zero-shot top1" in " ".join(page.texts)
    assert ("alt", "Alike") in page.attributes


def test_page_without_any_result_says_so(tmp_path):
    html, summary = build(tmp_path)
    assert "No method has been evaluated yet" in Page(html).text
    assert "Not evaluated yet: irt, frpt." in summary


def test_absent_figures_are_named_as_absent(root):
    (root / "reports/figures/irt/figures.json").unlink()
    assert "figures of this method are not on this machine" in Page(build(root)[0]).text


def test_counts_are_short(html):
    assert "1 200 queries · 44.3 imbalance" in Page(html).text


def test_same_results_same_bytes(root):
    assert build(root) == build(root)


def test_data_uris_decode_to_the_file(html, root):
    image = next(value for name, value in Page(html).attributes if name == "src")
    kind, _, body = image.partition(",")
    assert kind == "data:image/svg+xml;charset=utf-8"
    assert unquote(body) == (root / "reports/figures/irt/a.svg").read_text()
    assert base64.b64decode(data_uri(b"\x89PNG", "png").partition(",")[2]) == b"\x89PNG"


def test_fingerprint_ignores_where_it_runs():
    assert fingerprint(PARAMS) == fingerprint({**PARAMS, "runtime": {"device": "cuda"}})
    assert fingerprint(PARAMS) != fingerprint({**PARAMS, "irt": {"lambda": 0.3}})


def table(lower=(), **variants):
    content = {
        **method_result(), "headline": ["m"], "metrics": ["m"], "lower_is_better": list(lower),
        "variants": [{"name": name, "measures": measures} for name, measures in variants.items()],
    }  # fmt: skip
    laid_out = measure_table(MethodResult.model_validate(content), ["m"])
    return laid_out.columns[0][1], [cells[0] for _, _, cells in laid_out.rows]


def test_fractions_are_per_cent_and_the_best_is_marked():
    unit, (first, second) = table(A={"m": 0.4}, B={"m": {"value": 0.5, "low": 0.45, "high": 0.6}})
    assert unit == "%"
    assert [first.text, second.text, second.interval] == ["40.0", "50.0", "45.0 – 60.0"]
    assert (first.best, second.best) == (False, True)
    assert second.track == TrackView(50.0, 45.0, 15.0)


def several_seeds(root):
    """The example with two seeds, and a claim that cannot be tested."""
    result = method_result()
    result["variants"][0]["measures"]["recall@1"]["seeds"] = [0.65, 0.66]
    result["claims"][0]["seeds"] = [0.02, 0.05]
    result["claims"][2] |= {"verdict": "not testable here", "reason": f"Both are one {HOSTILE}"}
    write(root / "reports/results/irt.json", result)


def test_each_seed_is_a_dot_and_verdicts_say_what_they_rest_on(root):
    assert "<s " not in build(root)[0]
    assert "in this run" in Page(build(root)[0]).text
    several_seeds(root)
    html = build(root)[0]
    page = Page(html)
    dots = html.split('<s style="left:')[1:]
    # Of the measure from 0 to 1; of the claim from 0, which lies left of its interval, to its end at 0.058.
    assert [dot.partition("%")[0] for dot in dots] == ["65.0", "66.0", "34.5", "86.2"]
    assert html.count("<em style") == 1
    assert "✓holdsover 2 seeds" in page.text
    assert "✗does not holdin this run" in page.text
    assert f"Both are one {' '.join(HOSTILE.split())}" in page.text
    assert "∅not testable here" in page.text
    assert "not testable here1" in page.text  # of the tally
    assert "not measured" not in page.text


def test_the_summary_names_the_value_of_each_seed(root):
    several_seeds(root)
    summary = build(root)[1]
    assert "+3.5 points, 95 % interval +1.2 to +5.8; by seed +2.0, +5.0 | ✓ holds over 2 seeds" in summary
    assert "| ∅ not testable here |" in summary
    assert "1 holds, 1 does not hold, 1 not testable here" in summary


def test_a_claim_that_lies_nowhere_else_than_at_zero_has_no_track():
    claim = Claim(
        claim="c", paper="p", decides="d", value=0, low=0, high=0, seeds=(0, 0), verdict="does not hold"
    )
    assert _claim_track(claim) is None


def test_of_an_error_the_smallest_is_the_best():
    _, (first, second) = table(["m"], A={"m": 0.4}, B={"m": 0.5})
    assert (first.best, second.best) == (True, False)


def test_counts_stay_whole_and_nobody_is_best():
    unit, cells = table(A={"m": 1200}, B={"m": 7})
    assert unit == ""
    assert [cell.text for cell in cells] == ["1\u202f200", "7"]
    assert not any(cell.best for cell in cells)


def test_ties_and_gaps_have_no_best():
    assert not any(cell.best for cell in table(A={"m": 0.5}, B={"m": 0.5})[1])
    _, (only, gap) = table(A={"m": 0.5}, B={})
    assert not only.best
    assert gap.text == "–"


def test_stage_writes_page_and_summary_and_names_mistakes(root):
    stage = Path(__file__).parents[2] / "src/stages/report.py"
    (root / "params.yaml").write_text("methods: {irt: {}}\n")

    def run(*arguments):
        command = [sys.executable, str(stage), *arguments]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)

    done = run()
    assert done.returncode == 0, done.stderr
    assert (root / "reports/index.html").read_text().startswith("<!doctype html>")
    assert (root / "reports/summary.md").read_text().startswith("# Results")
    (root / "README.md").write_text("# Title\n<!-- numbers:begin -->\nold\n<!-- numbers:end -->\nend\n")
    assert run("--readme").returncode == 0
    readme = (root / "README.md").read_text()
    assert "65.5" in readme
    assert "\nold\n" not in readme
    write(root / "reports/results/irt.json", {"method": "irt"})
    failed = run()
    assert failed.returncode == 1
    assert failed.stderr == "error: reports/results/irt.json: title: Field required\n"
