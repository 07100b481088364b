"""Randomness that hangs on key and place alone: a grid and single points agree, in any order, at any place."""

import numpy as np
import pytest

from hlss.cohorts.phantom.noise import Grid, Points, step, uniforms


def test_uniforms_are_uniform_and_independent_of_who_else_is_asked_for() -> None:
    cx, cy = (grid.ravel() for grid in np.meshgrid(np.arange(-50, 50), np.arange(100)))
    u = uniforms(7, cx, cy, 3)
    assert u.shape == (3, 10_000)
    np.testing.assert_allclose(np.histogram(u, bins=10, range=(0, 1))[0] / u.size, 0.1, atol=0.01)
    assert abs(np.corrcoef(u)[np.triu_indices(3, 1)]).max() < 0.04
    assert abs(np.corrcoef(u[0, :-1], u[0, 1:])[0, 1]) < 0.04
    np.testing.assert_array_equal(uniforms(7, cx[40:42], cy[40:42], 3), u[:, 40:42])
    assert not np.array_equal(uniforms(8, cx, cy, 3), u)


def test_grid_and_points_are_the_same_field() -> None:
    xs, ys = np.linspace(-300, 500, 23), np.linspace(1e5, 1e5 + 400, 17)
    grid = Grid(xs, ys).smooth(3, (1, 9), 55.0)
    x, y = (values.ravel() for values in np.meshgrid(xs, ys))
    np.testing.assert_allclose(Points(x, y).smooth(3, (1, 9), 55.0).reshape(2, 17, 23), grid, atol=1e-5)
    assert Points(x[:0], y[:0]).smooth(3, (1, 9), 55.0).shape == (2, 0)


def test_smooth_noise_is_its_lattice_at_the_nodes_and_lies_between() -> None:
    nodes = np.arange(-3, 4)
    at_nodes = Grid(nodes * 10.0, nodes * 10.0).smooth(1, (5,), 10.0)[0]
    assert np.abs(at_nodes).max() <= 1
    between = Grid(nodes[:-1] * 10.0 + 5, nodes * 10.0).smooth(1, (5,), 10.0)[0]
    np.testing.assert_allclose(between, (at_nodes[:, 1:] + at_nodes[:, :-1]) / 2, atol=1e-6)


def test_step_rises_smoothly_about_its_threshold() -> None:
    values = np.array([0.0, 0.45, 0.5, 0.525, 0.55, 1.0], dtype=np.float32)
    found = step(values, 0.5, 0.1)
    np.testing.assert_allclose(found, [0, 0, 0.5, 0.84375, 1, 1], atol=1e-5)
    assert values[2] == pytest.approx(0.5)
