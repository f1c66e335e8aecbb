"""A composed graph equals the same arithmetic done outside it."""

import itertools

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from build_engines.compose import Activation, Averaging, Composition, Normalisation, compose
from build_engines.errors import GraphError
from build_engines.graph import read_signature
from build_engines.views import View
from tests.unit.build_engines.networks import GRID, images, logits_network, run

FloatArray = npt.NDArray[np.float64]

MEMBERS = [(f"member{seed}.onnx", logits_network(seed=seed, classes=3)) for seed in (1, 2)]


def _turn(values: FloatArray, view: View) -> FloatArray:
    """A view of [N, C, H, W] by numpy."""
    turns = {View.TURN_90: 1, View.TURN_180: 2, View.TURN_270: 3}
    if view in turns:
        return np.rot90(values, turns[view], axes=(2, 3))
    return {
        View.IDENTITY: values,
        View.FLIP_HORIZONTAL: values[:, :, :, ::-1],
        View.FLIP_VERTICAL: values[:, :, ::-1],
    }[view]


def _probabilities(model: onnx.ModelProto, pixels: npt.NDArray[np.uint8], composition: Composition) -> list[FloatArray]:
    """One array [N, C, H, W] per view, turned back, by a network run outside the graph."""
    mean, std = (
        np.array(v).reshape(1, 3, 1, 1) for v in (composition.normalisation.mean, composition.normalisation.std)
    )
    image = (pixels.transpose(0, 3, 1, 2) / 255 - mean) / std
    found = []
    for view in composition.all_views:
        logits = (
            run(model, np.ascontiguousarray(_turn(image, view), np.float32)).astype(np.float64)
            / composition.temperature
        )
        if composition.activation is Activation.SIGMOID:
            probability = 1 / (1 + np.exp(-logits))
        else:
            raised = np.exp(logits - logits.max(axis=1, keepdims=True))
            probability = raised / raised.sum(axis=1, keepdims=True)
        found.append(_turn(probability, view.inverse))
    return found


def _levels(probability: FloatArray) -> npt.NDArray[np.int64]:
    levels: npt.NDArray[np.int64] = np.round(probability * 255).astype(np.int64)
    return levels


@pytest.mark.parametrize("view", list(View))
@pytest.mark.parametrize("activation", list(Activation))
def test_each_view_equals_the_mean_outside_within_one_level(view: View, activation: Activation) -> None:
    composition = Composition(activation=activation, views=(view,))
    pixels = images()
    expected = np.mean(_probabilities(MEMBERS[0][1], pixels, composition), axis=0)
    served = run(compose(MEMBERS[:1], composition), pixels).astype(np.int64)
    assert served.shape == (2, 3, GRID, GRID)
    assert np.abs(served - _levels(expected)).max() <= 1


def test_all_views_of_two_members_equal_the_mean_outside_within_one_level() -> None:
    composition = Composition(views=tuple(View), temperature=2.5, normalisation=Normalisation((0.5,) * 3, (0.25,) * 3))
    pixels = images(3)
    parts = itertools.chain(*(_probabilities(model, pixels, composition) for _, model in MEMBERS))
    served = run(compose(MEMBERS, composition), pixels).astype(np.int64)
    assert np.abs(served - _levels(np.mean(list(parts), axis=0))).max() <= 1


def test_a_floor_puts_out_what_is_under_it_and_nothing_else() -> None:
    pixels = images()
    plain = run(compose(MEMBERS, Composition()), pixels).astype(int)
    floored = run(compose(MEMBERS, Composition(floor=102.5 / 255)), pixels).astype(int)
    assert (plain < 103).any()
    np.testing.assert_array_equal(floored, np.where(plain >= 103, plain, 0))


def test_a_vote_is_exactly_the_majority_outside() -> None:
    members = [(f"m{seed}", logits_network(seed=seed, gain=30)) for seed in (1, 2, 3)]
    composition = Composition(averaging=Averaging.VOTE, views=(View.FLIP_HORIZONTAL,), vote_threshold=0.6)
    pixels = images()
    parts = list(itertools.chain(*(_probabilities(model, pixels, composition) for _, model in members)))
    votes = sum((part >= 0.6).astype(int) for part in parts)
    served = run(compose(members, composition), pixels)
    expected = np.where(votes > len(parts) / 2, 255, 0)
    assert set(np.unique(expected)) == {0, 255}
    np.testing.assert_array_equal(served, expected)


def test_a_tied_vote_is_no() -> None:
    always, never = logits_network(), logits_network()
    for model, value in ((always, 9.0), (never, -9.0)):
        for tensor in model.graph.initializer:
            if tensor.name in ("second", "bias"):
                shape = tuple(tensor.dims)
                filled = np.full(shape, value if tensor.name == "bias" else 0, np.float32)
                tensor.CopyFrom(onnx.numpy_helper.from_array(filled, tensor.name))
    served = run(compose([("a", always), ("b", never)], Composition(averaging=Averaging.VOTE)), images())
    assert not served.any()


def test_the_background_is_left_out_after_the_softmax() -> None:
    whole = run(compose(MEMBERS, Composition(activation=Activation.SOFTMAX)), images())
    classes = run(compose(MEMBERS, Composition(activation=Activation.SOFTMAX, background=1)), images())
    np.testing.assert_array_equal(classes, whole[:, [0, 2]])


def test_members_of_different_opsets_are_raised_to_the_newest() -> None:
    members = [("old.onnx", logits_network(seed=1, opset=17)), ("new.onnx", logits_network(seed=2, opset=19))]
    same = [("old.onnx", logits_network(seed=1, opset=19)), ("new.onnx", logits_network(seed=2, opset=19))]
    composed = compose(members, Composition())
    assert composed.opset_import[0].version == 19
    np.testing.assert_array_equal(run(composed, images()), run(compose(same, Composition()), images()))


def test_the_result_is_folded_and_small() -> None:
    composed = compose(MEMBERS, Composition(views=(View.TURN_90,)))
    assert read_signature(composed, "composed").served
    assert all(node.op_type != "Identity" for node in composed.graph.node)
    assert composed.ByteSize() < 3 * sum(model.ByteSize() for _, model in MEMBERS)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "no member"),
        ([MEMBERS[0], ("other.onnx", logits_network(classes=2))], r"other\.onnx gives 2 channels .* must agree"),
        ([MEMBERS[0], ("big.onnx", logits_network(grid=128, classes=3))], "grid of 128"),
        ([("served.onnx", compose(MEMBERS, Composition()))], "a served graph already"),
    ],
)
def test_members_that_do_not_go_together_are_refused(members: list[tuple[str, onnx.ModelProto]], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        compose(members, Composition())


def test_a_network_that_ends_in_its_activation_is_refused() -> None:
    model = logits_network()
    model.graph.node[-1].output[0] = "raw"
    model.graph.node.append(onnx.helper.make_node("Sigmoid", ["raw"], ["logits"]))
    with pytest.raises(GraphError, match="ends in Sigmoid: export the logits"):
        compose([("done.onnx", model)], Composition())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"floor": 1.0}, "floor"),
        ({"vote_threshold": 0.0}, "vote threshold"),
        ({"averaging": Averaging.VOTE, "floor": 0.2}, "a vote has no floor"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        Composition(**settings)  # type: ignore[arg-type]


def test_softmax_over_one_channel_and_a_background_out_of_range_are_refused() -> None:
    single = [("one.onnx", logits_network())]
    with pytest.raises(GraphError, match="softmax over one channel"):
        compose(single, Composition(activation=Activation.SOFTMAX))
    with pytest.raises(GraphError, match="background channel 3"):
        compose(MEMBERS, Composition(background=3))
    with pytest.raises(GraphError, match="no class is left"):
        compose(single, Composition(background=0))
