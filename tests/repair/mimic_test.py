import re
import sys

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from bars import check_whole, drawn, labels_of
from keras import layers
from students import halve, small

from keras_shapley_prune import Mimic, prune
from keras_shapley_prune.inputs.progress import Progress
from keras_shapley_prune.repair.imitation import Imitation
from keras_shapley_prune.repair.mimic import mimic
from keras_shapley_prune.repair.relative_adam import RelativeAdam
from keras_shapley_prune.repair.repair_channels import repair_channels
from keras_shapley_prune.repair.training_data import TrainingData
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.tracer import trace_channels

# Most trainings here are too short to help.
pytestmark = pytest.mark.filterwarnings("ignore:Expected training to bring")


@pytest.fixture(autouse=True)
def eagerly():
    """Spares short trainings the tracing, which would take most of the time."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def frequent_looks(monkeypatch):
    """Every other step, not every 25th."""
    monkeypatch.setattr("keras_shapley_prune.repair.training.CHECK_EVERY", 2)


def error(pruned, model, inputs):
    """Returns the loss of `mimic` on some inputs, not relative to a variance."""
    imitation = Imitation(record_graph(model), record_graph(pruned))
    imitation.hold_out([keras.tree.flatten(inputs)])
    return imitation.error()


def assert_same(model, other):
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_features_of_fresh_images_come_closer():
    tf.config.run_functions_eagerly(False)
    model, pruned = halve(layers="inner")
    trained = mimic(
        pruned, model, models.images(model, 64), Mimic(200, learning_rate=1e-2)
    )
    fresh = models.images(model, 64, seed=1)
    assert error(trained, model, fresh) < 0.5 * error(pruned, model, fresh)
    expected = models.outputs_of(model, fresh)
    ours, theirs = (models.outputs_of(m, fresh) for m in (trained, pruned))
    assert np.mean((ours[0] - expected[0]) ** 2) < np.mean(
        (theirs[0] - expected[0]) ** 2
    )


def test_never_worse_on_what_is_held_out():
    model, pruned = halve(layers="inner")
    settings = Mimic(3, learning_rate=1e3)
    trained = mimic(pruned, model, models.images(model, 16), settings)
    assert_same(trained, pruned)


@pytest.mark.parametrize(
    ("errors", "returned"), [([5, 1, 3], 2), ([5, 1, 6], 1), ([5, 6, 7], 0)]
)
def test_the_last_network_unless_it_is_worse_than_the_first(
    monkeypatch, frequent_looks, errors, returned
):
    model, pruned = halve(layers="inner")
    looks, seen = iter(errors), []

    def look(imitation):
        seen.append(imitation.layers[0][0].numpy())
        return float(next(looks))

    monkeypatch.setattr(Imitation, "error", look)
    settings = Mimic(4, learning_rate=1e-2)  # it is looked at twice
    trained = mimic(pruned, model, models.images(model, 16), settings)
    np.testing.assert_array_equal(trained.get_weights()[0], seen[returned])


def test_the_last_layer_is_the_original_s_where_it_reads_the_features():
    model, pruned = halve(layers="inner")
    pruned.get_layer("classes").kernel.assign_add(np.ones((6, 3)))
    trained = mimic(pruned, model, models.images(model, 16), Mimic(5))
    assert_same(trained.get_layer("classes"), model.get_layer("classes"))


def test_neither_network_is_changed():
    model, pruned = halve(layers="inner", build=models.fresh)
    model.compile("adam", "mse")
    pruned.get_layer("stem").trainable = False
    images = models.images(model, 16)
    before = [models.snapshot(m, images) for m in (model, pruned)]
    trained = mimic(pruned, model, images, Mimic(8, learning_rate=1e-2))
    assert [models.snapshot(m, images) for m in (model, pruned)] == before
    after = models.snapshot(trained, images)
    for name in ("config", "names", "trainable", "dtypes", "compiled"):
        assert after[name] == before[1][name]
    assert after["outputs"] != before[1]["outputs"]
    stem, norm = trained.get_layer("stem"), trained.get_layer("norm")
    assert not np.array_equal(stem.kernel, pruned.get_layer("stem").kernel)
    statistics = pruned.get_layer("norm").moving_mean
    np.testing.assert_array_equal(norm.moving_mean, statistics)
    assert not {id(layer) for layer in trained.layers} & {id(x) for x in pruned.layers}


@pytest.mark.slow
def test_the_seed_decides_and_no_label():
    model, pruned = halve(layers="inner")
    images = models.images(model, 16)
    first = mimic(pruned, model, images, Mimic(5, seed=3))
    labelled = (images, np.full(16, np.nan))
    assert_same(first, mimic(pruned, model, labelled, Mimic(5, seed=3)))
    other = mimic(pruned, model, images, Mimic(5, seed=4))
    assert not np.array_equal(first.get_weights()[0], other.get_weights()[0])


def test_several_inputs_and_outputs():
    model, pruned = halve(models.two_ends)
    inputs = models.inputs_of(model, 24)
    trained = mimic(pruned, model, inputs, Mimic(10, learning_rate=1e-2))
    assert error(trained, model, inputs) < error(pruned, model, inputs)


@pytest.mark.parametrize("num_examples", [4, 10])
def test_few_images_do(num_examples):
    model, pruned = halve(layers="inner")
    images = models.images(model, num_examples)
    trained = mimic(pruned, model, images, Mimic(8, learning_rate=1e-2))
    assert not np.array_equal(trained.get_weights()[0], pruned.get_weights()[0])


def test_fewer_are_no_training():
    model, pruned = halve(layers="inner")
    assert_same(mimic(pruned, model, models.images(model, 3)), pruned)


def test_as_a_way_to_repair():
    model = models.build(small)
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    keep[channel_map.select_groups("inner")[0].units[::2]] = False
    images, settings = models.images(model, 16), Mimic(8, learning_rate=1e-2)
    ours = repair_channels(model, keep, images, settings)
    repaired = repair_channels(model, keep, images)
    expected = mimic(repaired, model, images, settings, keep, channel_map)
    assert_same(ours, expected)
    assert not np.array_equal(ours.get_weights()[0], repaired.get_weights()[0])


def test_the_string_is_short_for_the_settings_by_default(monkeypatch):
    found = []

    def record(pruned, original, batches, settings, *arguments, **options):
        found.append(settings)
        return pruned

    module = sys.modules["keras_shapley_prune.repair.repair_channels"]
    monkeypatch.setattr(module, "mimic", record)
    model = models.build(small)
    settings = Mimic(minutes=2)
    for repair in ("mimic", settings):
        prune(model, models.images(model, 16), 0.5, repair=repair, verbose=0)
    by_name, by_object = found
    assert repr(by_name) == repr(Mimic())
    assert by_object is settings


@pytest.mark.eager
def test_mixed_precision():
    with_policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model, pruned = halve(layers="inner")
    finally:
        keras.config.set_dtype_policy(with_policy)
    images = models.images(model, 16)
    trained = mimic(pruned, model, images, Mimic(8, learning_rate=1e-2))
    assert trained.get_layer("inner").dtype_policy.name == "mixed_float16"
    assert error(trained, model, images) < error(pruned, model, images)


def test_the_pruned_model_comes_from_the_original():
    model, _ = halve()
    with pytest.raises(ValueError, match="should be made from `original`"):
        mimic(models.build(models.chain), model, models.images(model))


@pytest.mark.eager
def test_models_in_the_wrong_order_are_told():
    model, pruned = halve()
    images = models.images(model, 8)
    with pytest.warns(UserWarning, match=r"each in its place.*original of ") as told:
        mimic(model, pruned, images, Mimic(num_steps=1), verbose=0)
    assert __file__ in [one.filename for one in told]


def test_images_of_another_shape_are_refused():
    model, pruned = halve(layers="inner")
    with pytest.raises(ValueError, match="in batches of shape"):
        mimic(pruned, model, models.images(model)[:, 1:])


def test_a_bar_with_the_error_a_line_or_silence(capsys):
    model, pruned = halve()
    images = models.images(model, 8)
    mimic(pruned, model, images, Mimic(2))
    bar = capsys.readouterr().out
    check_whole(bar)
    first, last, end = labels_of(bar)
    assert (first, end) == ("training", "")
    assert re.fullmatch(r"training, error \d\S*", last)
    mimic(pruned, model, images, Mimic(2), verbose=2)
    assert re.fullmatch(r"trained, \d+\.\d s so far\n", capsys.readouterr().out)
    mimic(pruned, model, images, Mimic(2), verbose=0)
    assert capsys.readouterr().out == ""


def test_callbacks_are_told_the_error_and_may_stop(frequent_looks, tmp_path):
    model, pruned = halve()
    images = models.images(model, 8)
    log = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    patience = keras.callbacks.EarlyStopping("error", min_delta=9.0, mode="min")
    mimic(pruned, model, images, Mimic(8), verbose=0, callbacks=[log, patience])
    lines = (tmp_path / "log.csv").read_text().split()
    assert lines[0].startswith("epoch,error")
    assert len(lines) == 3  # the second look was no better by so much
    assert float(lines[1].split(",")[1]) > 0


def test_it_moves_a_bar_on(capsys, frequent_looks):
    model, pruned = halve()
    with Progress(1, {"mimic": 1.0, "rest": 1.0}) as progress:
        progress.begin("mimic")
        progress.show("training")
        mimic(pruned, model, models.images(model, 8), Mimic(4), progress=progress)
        found = [
            (percent, re.sub(r"\d\S*", "0", label))
            for percent, label in drawn(capsys.readouterr().out)
        ]
        assert found == [
            (0, "training"),
            (25, "training, error 0"),
            (50, "training, error 0"),
        ]


def tiny():
    """A network whose kernels are as small as weight decay makes them."""
    inputs = keras.Input((8, 8, 1), name="image")
    x = inputs
    for width, name in ((6, "stem"), (6, "inner")):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False, name=name)(x)
        x = layers.ReLU()(layers.BatchNormalization(name=f"{name}_norm")(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, name="classes")(x))


@pytest.mark.slow
def test_small_kernels_are_not_destroyed():
    model = models.fresh(tiny)
    images = models.images(model, 64)
    for name in ("stem", "inner"):
        kernel, norm = model.get_layer(name).kernel, model.get_layer(f"{name}_norm")
        kernel.assign(1e-4 * kernel.value)
        before = keras.Model(model.inputs, model.get_layer(name).output)
        returned = before.predict(images, verbose=0)
        norm.moving_mean.assign(returned.mean((0, 1, 2)))
        norm.moving_variance.assign(returned.var((0, 1, 2)))
        norm.epsilon = 1e-12
    keep = np.ones(trace_channels(model).num_units, bool)
    keep[:2] = False
    repaired = repair_channels(model, keep, images, verbose=0, verify=False)
    trained = mimic(repaired, model, images, Mimic(60), keep)
    fresh = models.images(model, 64, seed=1)
    # The rate of Adam by itself, 1e-3, is ten times the kernels.
    assert error(trained, model, fresh) < error(repaired, model, fresh)
    sizes = [np.abs(m.get_layer("stem").kernel).mean() for m in (repaired, trained)]
    assert 0.5 < sizes[1] / sizes[0] < 2


class Clock:
    """Time that passes by the steps taken, and by nothing else."""

    def __init__(self, monkeypatch, seconds_a_step):
        self.now, self.num_steps = 0.0, 0
        monkeypatch.setattr("time.perf_counter", lambda: self.now)
        apply = RelativeAdam.apply

        def slow(optimizer, *arguments):
            self.now += seconds_a_step
            self.num_steps += 1
            apply(optimizer, *arguments)

        monkeypatch.setattr(RelativeAdam, "apply", slow)


@pytest.mark.eager
def test_minutes_in_the_place_of_steps(monkeypatch):
    model, pruned = halve(layers="inner")
    clock = Clock(monkeypatch, seconds_a_step=1.0)
    settings = Mimic(minutes=0.5, learning_rate=1e-2)
    trained = mimic(pruned, model, models.images(model, 16), settings)
    assert 29 <= clock.now <= 30
    assert clock.num_steps == clock.now
    fresh = models.images(model, 16, seed=1)
    assert error(trained, model, fresh) < error(pruned, model, fresh)


def test_no_time_for_a_step_is_warned_of():
    model, pruned = halve(layers="inner")
    with pytest.warns(UserWarning, match="minutes=1e-06. Nothing was trained"):
        trained = mimic(pruned, model, models.images(model, 8), Mimic(minutes=1e-6))
    assert_same(trained, pruned)


def test_a_bar_of_minutes(monkeypatch, capsys):
    model, pruned = halve()
    Clock(monkeypatch, seconds_a_step=10.0)
    mimic(pruned, model, models.images(model, 8), Mimic(minutes=1), verbose=1)
    percents = [percent for percent, _ in drawn(capsys.readouterr().out)]
    assert percents[0] == 0 < percents[1] < percents[-1] == 100  # by the clock


@pytest.mark.eager
def test_extra_images_are_trained_on_and_not_held_out(monkeypatch):
    model, pruned = halve(layers="inner")
    images, extra = models.images(model, 20), 5 + models.images(model, 40, seed=1)
    seen = []

    def record(data):
        seen.append(data)
        return draw(data)

    draw = TrainingData.draw
    monkeypatch.setattr(TrainingData, "draw", record)
    plain = mimic(pruned, model, images, Mimic(4, learning_rate=1e-2))
    settings = Mimic(4, learning_rate=1e-2, extra_images=(extra, np.zeros(40)))
    trained = mimic(pruned, model, images, settings)
    assert not np.array_equal(trained.get_weights()[0], plain.get_weights()[0])
    without, with_extra = seen
    for ours, theirs in zip(without.held_out, with_extra.held_out, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
    assert len(without.known) == len(with_extra.known)
    values = np.concatenate([next(with_extra.draw())[0] for _ in range(20)])
    assert values.max() > 5  # calibration images are below
    assert np.max([np.max(inputs[0]) for inputs in with_extra.held_out]) < 5


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((4, 7, 8, 1), r"`extra_images` should give input 'image' in batches of shape")],
)
def test_extra_images_are_checked_before_anything_is_ranked(shape, expected):
    model = models.build(small)
    settings = Mimic(extra_images=np.zeros(shape, "float32"))
    for ranker in (None, Refusing()):
        with pytest.raises(ValueError, match=expected):
            prune(model, models.images(model, 8), repair=settings, ranker=ranker)


class Refusing:
    """A ranker that is not reached."""

    def rank(self, *arguments, **options):
        raise AssertionError("Expected no ranking")


def test_extra_images_have_the_sizes_of_the_others():
    inputs = keras.Input((None, None, 1), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    x = layers.ReLU()(layers.Conv2D(4, 3, padding="same", name="inner")(x))
    outputs = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, outputs)
    settings = Mimic(extra_images=np.zeros((4, 9, 9, 1), "float32"))
    with pytest.raises(ValueError, match=r"of shape \(8, 8, 1\), .* \(9, 9, 1\)"):
        prune(model, np.zeros((8, 8, 8, 1), "float32"), repair=settings)


def interrupt_at(monkeypatch, step):
    """Presses Ctrl-C in a step."""
    apply, count = RelativeAdam.apply, []

    def interrupted(optimizer, *arguments):
        count.append(None)
        if len(count) == step:
            raise KeyboardInterrupt
        apply(optimizer, *arguments)

    monkeypatch.setattr(RelativeAdam, "apply", interrupted)


@pytest.mark.eager
def test_an_interrupt_returns_the_best_so_far(monkeypatch, frequent_looks):
    model, pruned = halve(layers="inner")
    images = models.images(model, 16)
    settings = Mimic(300, learning_rate=1e-2)
    interrupt_at(monkeypatch, 20)
    with pytest.warns(UserWarning, match="interrupted after 19 steps: the best"):
        trained = mimic(pruned, model, images, settings)
    fresh = models.images(model, 16, seed=1)
    assert error(trained, model, fresh) < error(pruned, model, fresh)


def test_an_interrupt_before_the_first_check_returns_what_was_given(monkeypatch):
    model, pruned = halve(layers="inner")
    interrupt_at(monkeypatch, 1)
    with pytest.warns(UserWarning, match="interrupted after 0 steps"):
        trained = mimic(pruned, model, models.images(model, 16), Mimic(9))
    assert_same(trained, pruned)


@pytest.mark.eager
def test_prune_goes_on_after_an_interrupt(monkeypatch, frequent_looks):
    model = models.fresh(small)
    model.compile("adam", "mse")
    interrupt_at(monkeypatch, 6)
    with pytest.warns(UserWarning, match="interrupted after 5 steps"):
        pruned = prune(model, models.images(model, 16), repair="mimic", verbose=0)
    assert pruned.compiled


@pytest.mark.slow
def test_it_goes_on_from_its_result():
    model, pruned = halve(layers="inner")
    images, fresh = models.images(model, 32), models.images(model, 64, seed=1)
    settings = Mimic(75, learning_rate=1e-2)
    first = mimic(pruned, model, images, settings)
    second = mimic(first, model, images, settings)
    ours, theirs = (error(m, model, fresh) for m in (first, second))
    assert theirs < ours < error(pruned, model, fresh)
    # A rate that destroys it: what was reached is kept, with its last layers.
    assert_same(mimic(first, model, images, Mimic(3, learning_rate=1e3)), first)


def test_the_units_have_to_be_those_of_the_pruned_model():
    model, pruned = halve(layers="inner")
    keep = np.ones(trace_channels(model).num_units, bool)
    with pytest.raises(ValueError, match="`keep` should say which units `pruned` has"):
        mimic(pruned, model, models.images(model, 8), keep=keep)


def test_training_that_did_not_help_is_told():
    model, pruned = halve(layers="inner")
    with pytest.warns(UserWarning, match="the network is returned as it came"):
        trained = mimic(
            pruned, model, models.images(model, 12), Mimic(2, learning_rate=1e3)
        )
    assert_same(trained, pruned)


def test_values_that_are_not_finite_end_it(monkeypatch):
    model, pruned = halve(layers="inner")
    monkeypatch.setattr("keras_shapley_prune.repair.training.CHECK_EVERY", 1)
    steps = []
    monkeypatch.setattr(
        Imitation, "loss", lambda *_: steps.append(0) or tf.constant(np.nan)
    )
    monkeypatch.setattr(Imitation, "error", lambda _: np.nan if steps else 1.0)
    with pytest.warns(UserWarning, match="nan after 1 steps, and of 1 before"):
        trained = mimic(pruned, model, models.images(model, 12), Mimic(9))
    assert_same(trained, pruned)


def test_one_image_is_no_training():
    model, pruned = halve(layers="inner")
    assert_same(mimic(pruned, model, models.images(model, 1), Mimic(2)), pruned)


def test_heads_that_lost_units_within_are_no_heads():
    inputs = keras.Input((6, 8))
    x = layers.LayerNormalization()(layers.Dense(8)(inputs))
    x = layers.MultiHeadAttention(4, 4, name="mha")(x, x)
    model = keras.Model(inputs, layers.GlobalAveragePooling1D()(x))
    images = np.random.default_rng(0).normal(size=(16, 6, 8)).astype("float32")
    pruned = prune(
        model, images, layers="mha", ranker="l1_norm", repair=Mimic(2), verbose=0
    )
    assert pruned.count_params() < model.count_params()


def test_what_is_refused():
    model, pruned = halve(layers="inner")
    images = models.images(model, 12)
    with pytest.raises(ValueError, match=r"settings` should be.*Received: 'mimic'"):
        mimic(pruned, model, images, "mimic")
    extra = images.copy()
    extra[3, 1, 1, 0] = np.nan
    with pytest.raises(ValueError, match="`extra_images`: Expected finite"):
        mimic(pruned, model, images, Mimic(2, extra_images=extra))
    with pytest.raises(ValueError, match="`extra_images` should be a"):
        mimic(pruned, model, images, Mimic(2, extra_images=5))


def test_examples_of_several_sizes_are_refused():
    inputs = keras.Input((None, None, 1))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    model = keras.Model(inputs, layers.Conv2D(2, 3, padding="same")(x))
    batches = [np.ones((4, n, n, 1), "float32") for n in (8, 6)]
    with pytest.raises(ValueError, match="examples of one size"):
        mimic(model, model, iter(batches), Mimic(2))
