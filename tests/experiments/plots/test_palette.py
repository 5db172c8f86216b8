"""Colours of figures: enough contrast on their paper, and apart for every kind of colour vision."""

import itertools

import numpy as np
import pytest

from experiments.plots.palette import DARK, INK, LIGHT, PAPER, family_of, looks, plot_colours, themed

# Machado, Oliveira & Fernandes (2009), severity 1: linear RGB as people without one kind of cone see it.
VISIONS = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
PAPERS = {"light": ("#ffffff", "#fbfaf7"), "dark": ("#14181b", "#1d2327")}


def linear(colour):
    part = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def luminance(colour):
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def lab(rgb):
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x = to_xyz @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize(("colours", "papers"), [(LIGHT, PAPERS["light"]), (DARK, PAPERS["dark"])])
def test_each_colour_stands_out_from_its_paper(colours, papers):
    for colour, paper in itertools.product(colours, papers):
        high, low = sorted((luminance(colour), luminance(paper)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 3.0, (colour, paper)


@pytest.mark.parametrize("colours", [LIGHT, DARK])
@pytest.mark.parametrize("vision", VISIONS)
def test_any_two_colours_are_apart_for_every_vision(vision, colours):
    seen = {colour: lab(VISIONS[vision] @ linear(colour)) for colour in colours}
    for one, other in itertools.combinations(colours, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 15.0, (vision, one, other)  # about 2 is just seen


NAMES = (
    *("chosen policy", "best static set", "best static set per domain", "static-4"),
    *("population plan", "population plan, domain not told"),
    *("conditional + value", "conditional, domain told + value", "nearest + value", "vote + value"),
    *("vote + scale", "random order", "random order + value", "random order + scale", "llm + scale"),
)


def test_a_method_looks_the_same_in_every_figure_and_like_no_other():
    found = looks(NAMES)
    told = [name for name in NAMES if name != "static-4"]  # as the best static set, where that is not drawn
    assert len({(found[n].color, str(found[n].linestyle)) for n in NAMES}) == len(NAMES)
    for name in told:
        assert looks([name])[name] == found[name]
        assert looks([name, "somebody's own"])[name] == found[name]


@pytest.mark.parametrize("n", [8, 20, 32])
def test_unknown_names_are_apart_in_colour_and_dashes_and_in_marker_and_dashes(n):
    found = looks(f"mine_{i}" for i in range(n)).values()
    assert len({(look.color, str(look.linestyle)) for look in found}) == n
    assert len({(look.marker, str(look.linestyle)) for look in found}) == n


def test_operating_points_are_of_their_family():
    points = (
        "vote + value 0.05",
        "vote + value 1e-05",
        "random order, 3 questions",
        "static-4",
        "best static 2",
    )
    families = ("vote + value", "vote + value", "random order", "static-4", "best static")
    assert tuple(map(family_of, points)) == families


def test_every_colour_of_a_figure_has_a_twin_on_dark_paper():
    text = themed(f'<path style="fill: {INK}; stroke: {PAPER}"/>')
    assert INK not in text
    for dark in (False, True):
        declared = plot_colours(dark)
        for colour in (*LIGHT, PAPER):
            assert f"--plot-{colour[1:]}: " in declared
