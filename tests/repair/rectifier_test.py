import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.layer_types.masked_calls import no_masks
from keras_shapley_prune.repair.rectifier import Rectifier, find_rectifier
from keras_shapley_prune.trace.recording import record_graph

GAMMA = [1.2, -0.7, 0.4, 2.0]


def find(make):
    """Returns the rectifier of the layer `read` of a network, and the network."""
    inputs = keras.Input((6, 6, 3))
    model = models.randomize(keras.Model(inputs, make(inputs)))
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization) and layer.scale:
            layer.gamma.assign(GAMMA)
    graph = record_graph(model)
    call = next(c for c in graph.calls if c.operation.name == "read")
    return find_rectifier(graph, call, no_masks), model


def read(x, **arguments):
    return layers.Conv2D(4, 3, padding="same", name="read", **arguments)(x)


def stem(x):
    return layers.Conv2D(4, 3, padding="same", name="stem")(x)


ONES = {
    "its own": lambda x: read(x, activation="relu"),
    "a layer as its own": lambda x: read(x, activation=layers.ReLU()),
    "a layer": lambda x: layers.ReLU()(read(x)),
    "a slope of 0": lambda x: layers.ReLU(negative_slope=0.0)(read(x)),
    "an Activation": lambda x: layers.Activation("relu")(read(x)),
    "a raw operation": lambda x: keras.ops.relu(read(x)),
    "behind an addition": lambda x: layers.ReLU()(
        layers.Add()([(y := stem(x)), read(y)])
    ),
    "behind a raw addition": lambda x: keras.ops.relu(read(y := stem(x)) + y),
}
SIXES = {
    "its own": lambda x: read(x, activation="relu6"),
    "a layer": lambda x: layers.ReLU(6)(read(x)),
    "an Activation": lambda x: layers.Activation("relu6")(read(x)),
    "a raw operation": lambda x: keras.ops.relu6(read(x)),
}


@pytest.mark.parametrize("kind", ONES)
def test_a_relu_is_flat_up_to_0(kind):
    rectifier, _ = find(ONES[kind])
    np.testing.assert_array_equal(rectifier.low, np.zeros(4))
    np.testing.assert_array_equal(rectifier.high, np.full(4, np.inf))


@pytest.mark.parametrize("kind", SIXES)
def test_a_relu6_is_flat_from_6_on(kind):
    rectifier, _ = find(SIXES[kind])
    np.testing.assert_array_equal(rectifier.low, np.zeros(4))
    np.testing.assert_array_equal(rectifier.high, np.full(4, 6))


@pytest.mark.parametrize("ceiling", [None, 0.5])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("center", [True, False])
def test_behind_a_normalization_the_edges_are_in_units_of_the_layer(
    ceiling, scale, center
):
    relu, norm = (
        layers.ReLU(ceiling),
        layers.BatchNormalization(scale=scale, center=center),
    )
    rectifier, _ = find(lambda x: relu(norm(read(x, use_bias=False))))
    edges = [rectifier.low, rectifier.high]
    falling = np.array(GAMMA) < 0 if scale else np.zeros(4, bool)
    assert np.isinf(edges[0]).tolist() == (falling & (ceiling is None)).tolist()
    assert np.isinf(edges[1]).tolist() == (~falling & (ceiling is None)).tolist()
    for edge, outward in zip(edges, (-1, 1), strict=True):
        edge = np.where(np.isinf(edge), 0, edge)
        at, beyond, inside = (
            relu(norm((edge + step)[None, None, None])).numpy().ravel()
            for step in (0, outward, -1e-2 * outward)
        )
        is_edge = np.isfinite(edges[0] if outward < 0 else edges[1])
        np.testing.assert_allclose(at[is_edge], beyond[is_edge], atol=1e-5)
        assert (np.abs(inside - at)[is_edge] > 1e-4).all()


def test_a_channel_that_is_switched_off_is_fitted_as_it_is():
    norm = layers.BatchNormalization(name="norm")
    inputs = keras.Input((6, 6, 3))
    model = models.randomize(keras.Model(inputs, layers.ReLU()(norm(read(inputs)))))
    norm.gamma.assign([1.0, 0.0, 1e-9, -1.0])
    graph = record_graph(model)
    rectifier = find_rectifier(graph, graph.calls[0], no_masks)
    assert np.isfinite(rectifier.low).tolist() == [True, False, False, False]
    assert np.isfinite(rectifier.high).tolist() == [False, False, False, True]


def twice(x):
    layer = layers.Conv2D(3, 3, padding="same", name="read")
    return layers.ReLU()(layer(layers.ReLU()(layer(x))))


def normalized_twice(x):
    norm = layers.BatchNormalization()
    return [layers.ReLU()(norm(read(x))), norm(stem(x))]


def read_by_another(x):
    y = read(x)
    return layers.ReLU()(y), layers.MaxPooling2D()(y)


def returned(x):
    return [y := read(x), layers.ReLU()(y)]


def sum_is_read_by_another(x):
    y = layers.Add()([(z := stem(x)), read(z)])
    return layers.ReLU()(y), layers.MaxPooling2D()(y)


def normalization_is_returned(x):
    return [y := layers.BatchNormalization()(read(x)), layers.ReLU()(y)]


def doubled(x):
    return layers.ReLU()(layers.Add()([(y := read(x)), y]))


def before_a_fitted_branch(x):
    return layers.ReLU()(layers.Add()([read(x), stem(x)]))


PLAIN = {
    "none": read,
    "leaky": lambda x: layers.LeakyReLU()(read(x)),
    "its own leaky": lambda x: read(x, activation="leaky_relu"),
    "gelu": lambda x: layers.Activation("gelu")(read(x)),
    "prelu": lambda x: layers.PReLU()(read(x)),
    "a slope": lambda x: layers.ReLU(negative_slope=0.1)(read(x)),
    "a threshold": lambda x: layers.ReLU(threshold=0.1)(read(x)),
    "a function": lambda x: read(x, activation=lambda y: keras.ops.relu(y)),
    "pooling before": lambda x: layers.ReLU()(layers.MaxPooling2D()(read(x))),
    "broadcast": lambda x: layers.ReLU()(
        read(x) + keras.ops.mean(x, (1, 2, 3), keepdims=True)
    ),
    "twice": twice,
    "normalized twice": normalized_twice,
    "read by another": read_by_another,
    "returned": returned,
    "sum is read by another": sum_is_read_by_another,
    "normalization is returned": normalization_is_returned,
    "doubled": doubled,
    "before a fitted branch": before_a_fitted_branch,
}


@pytest.mark.parametrize("kind", PLAIN)
def test_of_anything_else_there_is_none(kind):
    assert find(PLAIN[kind])[0] is None


def test_the_aim_is_the_nearest_that_comes_to_the_same():
    rectifier = Rectifier([0, -np.inf], [6, 1])
    sums = np.array([[-2, 5], [3, 0], [7, 2], [5, 3]], "float32")
    wanted = np.array([[-1, 4], [-1, 2], [8, 0], [9, 1]], "float32")
    expected = [[-2, 5], [0, 1], [7, 0], [6, 3]]
    np.testing.assert_array_equal(rectifier.aim(sums, wanted), expected)
    np.testing.assert_array_equal(
        rectifier.of([1]).aim(sums[:, 1:], wanted[:, 1:]), np.array(expected)[:, 1:]
    )
