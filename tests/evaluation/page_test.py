import base64
import html.parser
import re

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.evaluation import Check, Report, Row, page

pytestmark = pytest.mark.keras_free

VOID = {"meta", "img", "br", "circle", "path", "polyline"}


class Outline(html.parser.HTMLParser):
    """Counts the tags of a page, and checks that they are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links, self.text = [], [], [], ""
        self.titles = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.titles += [v for k, v in attrs if k == "title"]
        self.links += [v for k, v in attrs if k in ("src", "href", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def report(points, moved, curves=None, name="pgd <&>"):
    """Two examples: one stays right, one does not."""
    y = np.array([0, 1])
    rows = [
        Row("clean", y == y, forwards=2),
        Row(name, y == 0, 'PGD("x")', "linf", 0.1, 0.1, forwards=8),
        Row("worst case", y == 0, epsilon=0.1),
    ]
    images = {
        "clean": {"point": points, "predicted": y, "label": y},
        name: {"point": moved, "predicted": np.array([0, 7]), "label": y},
    }
    info = {"name": "<b>", "dataset": None, "examples": 2, "started": "today"}
    return Report(
        rows, curves or {}, [Check("c", True, "a <= b")], images, info
    )


def parsed(*arguments, **options):
    text = page.render(report(*arguments, **options))
    outline = Outline(text)
    assert outline.open == []
    return text, outline


def pictures(text):
    found = re.findall(r'src="data:image/png;base64,([^"]*)"', text)
    return [tf.io.decode_png(base64.b64decode(data)).numpy() for data in found]


@pytest.mark.parametrize("shape", [(4, 5, 1), (4, 5, 3), (4, 5)])
def test_images_are_shown_clean_perturbed_and_their_difference(shape):
    rng = np.random.default_rng(0)
    clean = rng.uniform(0.2, 0.8, (2, *shape)).astype(np.float32)
    clean.flat[:2] = 0.0, 1.0
    shift = 0.1 * np.sign(rng.normal(size=clean.shape)).astype(np.float32)
    text, outline = parsed(clean, clean + shift)
    found = pictures(text)
    channels = shape[2] if len(shape) > 2 else 1
    assert [p.shape for p in found] == [(4, 5, channels)] * 6
    expected = (255 * clean).reshape(2, 4, 5, channels)
    np.testing.assert_allclose(found[0], expected[0], atol=0.51)
    np.testing.assert_allclose(found[1], expected[1], atol=0.51)
    for picture, part in zip(found[2:4], shift, strict=True):
        np.testing.assert_array_equal(picture > 127, part.reshape(4, 5, -1) > 0)
        assert set(np.unique(picture)) <= {0, 255}
    moved = np.clip(255 * (clean + shift), 0, 255).reshape(expected.shape)
    np.testing.assert_allclose(found[4], moved[0], atol=0.51)
    assert "perturbation, up to 0.1" in outline.text
    assert text.count('<span class="right">') == 3
    assert '<span class="wrong">7</span>' in text


@pytest.mark.parametrize("shape", [(6,), (4, 5, 2), (3, 4, 5, 1)])
def test_other_inputs_get_a_sentence_instead(shape):
    text, outline = parsed(np.zeros((2, *shape)), np.ones((2, *shape)))
    assert "The inputs are not images." in outline.text
    assert "img" not in outline.tags


def test_without_an_attack_there_is_a_sentence_instead_of_a_strip():
    found = report(np.zeros((2, 4, 4, 1)), None)
    found.images = {"clean": found.images["clean"]}
    assert "No attack was run." in page.render(found)


def test_constant_images_and_points_that_are_no_numbers_are_shown():
    clean = np.full((2, 4, 4, 1), 0.5, np.float32)
    text, _ = parsed(clean, np.full_like(clean, np.nan))
    assert len(pictures(text)) == 6


def test_the_page_needs_nothing_but_itself_and_escapes_every_name():
    clean = np.zeros((2, 4, 4, 1), np.float32)
    text, outline = parsed(clean, clean + 0.1)
    assert not re.search("https?:", text)
    assert len(outline.links) == 6
    assert all(link.startswith("data:image/png") for link in outline.links)
    assert not {"script", "link", "iframe"} & set(outline.tags)
    assert "<b> under attack" in outline.text
    # In the table, in the strip, in the settings.
    assert outline.text.count("pgd <&>") == 3
    assert text.count("pgd &lt;&amp;&gt;") == 3 and "pgd <" not in text
    assert 'PGD("x")' in outline.text
    assert outline.titles == []
    assert "2 examples of the data" in outline.text
    assert "<td>a &lt;= b</td>" in text
    assert "<title>&lt;b&gt; under attack</title>" in text


def test_the_curve_is_drawn_once_for_each_attack_at_the_right_places():
    curve = {"epsilon": [0.0, 0.1, 0.2], "accuracy": [1.0, 0.5, 0.0]}
    curves = {n: {**curve, "examples": 2} for n in ("one", "two")}
    text, outline = parsed(np.zeros((2, 3)), np.zeros((2, 3)), curves)
    assert outline.tags.count("svg") == 1
    assert outline.tags.count("polyline") == 2
    assert outline.tags.count("circle") == 6
    line = re.search(r'polyline points="([^"]*)"', text)[1]
    found = [tuple(map(float, p.split(","))) for p in line.split()]
    (left, top), (middle, half), (right, bottom) = found
    assert left < middle < right
    assert top < half < bottom
    assert (middle, half) == pytest.approx(
        ((left + right) / 2, (top + bottom) / 2)
    )
    assert "On the first 2 examples." in outline.text
    assert "Not computed." not in outline.text


def test_without_a_curve_there_is_a_sentence():
    _, outline = parsed(np.zeros((2, 3)), np.zeros((2, 3)))
    assert "Not computed." in outline.text
    assert "svg" not in outline.tags


def test_the_verdict_is_coloured_by_what_the_diagnostics_found():
    found = report(np.zeros((2, 3)), np.zeros((2, 3)))
    assert 'class="verdict good"' in page.render(found)
    found.checks.append(Check("x", False, "Masked."))
    assert 'class="verdict bad"' in page.render(found)
    assert "<li>x: Masked.</li>" in page.render(found)
