"""What is left out of a picture cannot have a pixel: points of boxes against the pyramid, the mirror and the cover."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vla_bench.envs.libero.culling import Boxes, View, mirrored

seeds = st.integers(0, 2**32 - 1)


def _turn(generator: np.random.Generator) -> np.ndarray:
    return np.linalg.qr(generator.normal(size=(3, 3)))[0]


def _boxes(generator: np.random.Generator, n: int, spread: float = 2.0) -> Boxes:
    axes = np.stack([_turn(generator) for _ in range(n)]) * generator.uniform(0.01, 0.4, (n, 3, 1))
    return Boxes(generator.uniform(-spread, spread, (n, 3)), axes)


def _points(boxes: Boxes, generator: np.random.Generator, n: int = 60) -> np.ndarray:
    """Points in every box, its corners among them: `[boxes, n + 8, 3]`."""
    corners = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)], float)
    weights = np.concatenate([corners, generator.uniform(-1, 1, (n, 3))])
    return boxes.centre[:, None] + np.einsum("pk,bkd->bpd", weights, boxes.half_axes)


def _view(generator: np.random.Generator) -> View:
    right, up, forward = _turn(generator)
    if np.linalg.det([right, up, forward]) > 0:
        right = -right  # as a camera's: right is forward x up
    return View(generator.uniform(-1, 1, 3), right, up, forward, 0.5, 0.4, 0.01)


def _in_picture(view: View, points: np.ndarray) -> np.ndarray:
    offset = points - view.eye
    depth = offset @ view.forward
    across = np.abs(offset @ view.right) <= depth * view.slope_x
    return (depth > view.near) & across & (np.abs(offset @ view.up) <= depth * view.slope_y)


@given(seeds)
def test_a_box_with_a_visible_point_is_never_left_out(seed: int):
    generator = np.random.default_rng(seed)
    view, boxes = _view(generator), _boxes(generator, 20)
    visible = _in_picture(view, _points(boxes, generator)).any(axis=1)
    assert boxes.touch(view.planes())[visible].all()


@given(seeds)
def test_a_mirror_image_with_a_visible_point_is_never_left_out(seed: int):
    generator = np.random.default_rng(seed)
    view, boxes = _view(generator), _boxes(generator, 20)
    normal = _turn(generator)[0]
    point = generator.uniform(-1, 1, 3)
    points = _points(boxes, generator)
    images = points - 2 * ((points - point) @ normal)[..., None] * normal
    visible = _in_picture(view, images).any(axis=1)
    assert mirrored(boxes, point, normal).touch(view.planes())[visible].all()


@given(seeds)
def test_the_window_of_a_surface_holds_all_of_it_that_is_in_the_picture(seed: int):
    generator = np.random.default_rng(seed)
    view = _view(generator)
    centre = view.eye + 1.5 * view.forward + generator.uniform(-1, 1, 3)
    first, second, _ = _turn(generator) * generator.uniform(0.05, 0.8)
    corners = np.array([centre + i * first + j * second for i in (-1, 1) for j in (-1, 1)])
    inside = centre + generator.uniform(-1, 1, (80, 1)) * first + generator.uniform(-1, 1, (80, 1)) * second
    visible = inside[_in_picture(view, inside)]
    window = view.window_of(corners)
    if window is None:
        assert not len(visible)
        return
    planes = view.planes(window)
    assert (visible @ planes[:, :3].T + planes[:, 3] > -1e-9).all()


@given(seeds)
def test_what_is_hidden_lies_behind_the_cover_with_all_its_points(seed: int):
    generator = np.random.default_rng(seed)
    eye = np.array([0.3, -0.2, 1.6])
    centre, half = np.array([0.0, 0.0, 0.9]), np.diag([0.8, 0.7, 0.02])
    boxes = _boxes(generator, 40, spread=1.2)
    hidden = boxes.behind(eye, centre, [half[2], half[0], half[1]])
    points = _points(boxes, generator)[hidden]
    # Where the line from the eye to the point meets the upper side.
    share = (eye[2] - 0.92) / (eye[2] - points[..., 2])
    meets = eye + share[..., None] * (points - eye)
    assert (share < 1).all()
    assert (np.abs(meets[..., :2]) <= [0.8, 0.7]).all()


def test_a_leg_below_a_table_is_hidden_and_a_bowl_on_it_is_not():
    eye, centre = np.array([0.0, 0.0, 1.5]), np.array([0.0, 0.0, 0.875])
    half = np.diag([0.5, 0.6, 0.025])
    leg, bowl = [0.2, 0.2, 0.4], [0.2, 0.2, 0.95]
    boxes = Boxes(np.array([leg, bowl]), np.stack([np.diag([0.02, 0.02, 0.4]), np.diag([0.05, 0.05, 0.04])]))
    assert boxes.behind(eye, centre, [half[2], half[0], half[1]]).tolist() == [True, False]
