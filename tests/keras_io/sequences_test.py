"""keras.io/examples: video, text in images, time series and language."""

import keras
import pytest
from keras import layers, ops
from keras_io.checks import check_network, check_prune


def captcha_ocr():
    """vision/captcha_ocr: columns of a convolutional map are steps of LSTMs."""
    image = keras.Input((24, 8, 1), name="image")
    x = image
    for width in (8, 12):
        x = layers.Conv2D(width, 3, activation="relu", padding="same")(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Dense(16, activation="relu")(layers.Reshape((6, 24))(x))
    x = layers.Dropout(0.2)(x)
    x = layers.Bidirectional(layers.LSTM(8, return_sequences=True, dropout=0.25))(x)
    x = layers.Bidirectional(layers.LSTM(6, return_sequences=True, dropout=0.25))(x)
    return keras.Model(image, layers.Dense(11, activation="softmax", name="letters")(x))


def handwriting_recognition():
    """vision/handwriting_recognition: the same with a convolution over the steps."""
    image = keras.Input((24, 8, 1), name="image")
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(image)
    x = layers.BatchNormalization()(layers.MaxPooling2D((2, 2))(x))
    x = layers.Reshape((12, 32))(x)
    x = layers.Conv1D(12, 3, padding="same", activation="relu")(x)
    x = layers.Bidirectional(layers.GRU(6, return_sequences=True))(x)
    return keras.Model(image, layers.Dense(9, activation="softmax")(x))


def video_cnn_rnn():
    """vision/video_classification: frames' features, GRUs that see a mask."""
    frames = keras.Input((5, 12))
    mask = keras.Input((5,), dtype="bool")
    x = layers.GRU(8, return_sequences=True)(frames, mask=mask)
    x = layers.Dropout(0.4)(layers.GRU(6)(x))
    x = layers.Dense(8, activation="relu")(x)
    return keras.Model([frames, mask], layers.Dense(4, activation="softmax")(x))


def video_time_distributed():
    """The convolutional network of each frame, within the same model."""
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, activation="relu")(image)
    network = keras.Model(image, layers.GlobalAveragePooling2D()(x))
    frames = keras.Input((4, 8, 8, 3))
    x = layers.TimeDistributed(network)(frames)
    x = layers.TimeDistributed(layers.Dense(8, activation="relu"))(x)
    return keras.Model(frames, layers.Dense(3)(layers.LSTM(6)(x)))


def video_transformer():
    """vision/video_transformers: a post-norm encoder over frames' features."""
    frames = keras.Input((5, 12))
    x = frames + layers.Embedding(5, 12)(ops.arange(5))
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 6)(x, x))
    y = layers.Dense(12)(layers.Dense(16, activation="gelu")(x))
    x = layers.GlobalMaxPooling1D()(layers.LayerNormalization()(x + y))
    return keras.Model(frames, layers.Dense(4)(layers.Dropout(0.5)(x)))


def vivit():
    """vision/vivit: tubelets by a 3D convolution, attention, layer normalization."""
    video = keras.Input((4, 8, 8, 1))
    x = layers.Conv3D(12, (2, 4, 4), strides=(2, 4, 4))(video)
    x = layers.Reshape((8, 12))(x)
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 6, dropout=0.1)(y, y)])
    y = layers.Dense(24, activation="gelu")(layers.LayerNormalization()(x))
    x = layers.Add()([x, layers.Dense(12, activation="gelu")(y)])
    x = layers.GlobalAvgPool1D()(layers.LayerNormalization()(x))
    return keras.Model(video, layers.Dense(5, activation="softmax")(x))


def scans():
    """vision/3D_image_classification: 3D convolutions of a CT scan."""
    inputs = keras.Input((12, 12, 8, 1))
    x = layers.Conv3D(6, 3, activation="relu", padding="same")(inputs)
    x = layers.BatchNormalization()(layers.MaxPool3D(2)(x))
    x = layers.Conv3D(8, 3, activation="relu", padding="same")(x)
    x = layers.BatchNormalization()(layers.MaxPool3D(2)(x))
    x = layers.Dense(10, activation="relu")(layers.GlobalAveragePooling3D()(x))
    return keras.Model(inputs, layers.Dense(1)(layers.Dropout(0.3)(x)))


def next_frame():
    """vision/conv_lstm: ConvLSTM2D layers, a 3D convolution draws the next frames."""
    options = {"padding": "same", "return_sequences": True, "activation": "relu"}
    inputs = keras.Input((3, 8, 8, 1))
    x = layers.BatchNormalization()(layers.ConvLSTM2D(6, 5, **options)(inputs))
    x = layers.ConvLSTM2D(4, 3, **options)(x)
    x = layers.Conv3D(1, 3, activation="sigmoid", padding="same")(x)
    return keras.Model(inputs, x)


def series_from_scratch():
    """timeseries/timeseries_classification_from_scratch: three convolutions."""
    inputs = keras.Input((16, 1))
    x = inputs
    for _ in range(3):
        x = layers.Conv1D(8, 3, padding="same")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x))


def series_transformer():
    """timeseries/timeseries_classification_transformer: blocks on the series itself."""
    inputs = keras.Input((16, 4))
    x = inputs
    for _ in range(2):
        y = layers.MultiHeadAttention(2, 8, dropout=0.25)(x, x)
        x = layers.LayerNormalization(epsilon=1e-6)(layers.Dropout(0.25)(y)) + x
        y = layers.Conv1D(6, 1, activation="relu")(x)
        x = layers.LayerNormalization(epsilon=1e-6)(layers.Conv1D(4, 1)(y)) + x
    x = layers.GlobalAveragePooling1D(data_format="channels_first")(x)
    x = layers.Dense(12, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x))


def weather():
    """timeseries/timeseries_weather_forecasting: an LSTM and a dense output."""
    inputs = keras.Input((12, 7))
    return keras.Model(inputs, layers.Dense(1)(layers.LSTM(8)(inputs)))


def text_from_scratch():
    """nlp/text_classification_from_scratch: an embedding and strided convolutions."""
    tokens = keras.Input((20,), dtype="int64")
    x = layers.Dropout(0.5)(layers.Embedding(30, 8)(tokens))
    for _ in range(2):
        x = layers.Conv1D(8, 3, padding="valid", activation="relu", strides=2)(x)
    x = layers.Dense(8, activation="relu")(layers.GlobalMaxPooling1D()(x))
    return keras.Model(tokens, layers.Dense(1, activation="sigmoid")(x))


def bidirectional_lstm():
    """nlp/bidirectional_lstm_imdb: two LSTMs in both directions."""
    tokens = keras.Input((None,), dtype="int32")
    x = layers.Embedding(30, 8)(tokens)
    x = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(x)
    x = layers.Bidirectional(layers.LSTM(6))(x)
    return keras.Model(tokens, layers.Dense(1, activation="sigmoid")(x))


class TokensAndPositions(keras.layers.Layer):
    """Embeds tokens and adds a learned vector for each position."""

    def __init__(self, length, vocabulary, width, **options):
        super().__init__(**options)
        self.arguments = {"length": length, "vocabulary": vocabulary, "width": width}
        self.tokens = layers.Embedding(vocabulary, width)
        self.positions = layers.Embedding(length, width)

    def build(self, shape):
        self.tokens.build(shape)
        self.positions.build(shape[1:])
        self.built = True

    def call(self, x):
        return self.tokens(x) + self.positions(ops.arange(x.shape[-1]))

    def get_config(self):
        return {**super().get_config(), **self.arguments}


def text_transformer():
    """nlp/text_classification_with_transformer: post-norm, embedded positions."""
    tokens = keras.Input((10,), dtype="int32")
    x = TokensAndPositions(10, 30, 12)(tokens)
    y = layers.Dropout(0.1)(layers.MultiHeadAttention(2, 6)(x, x))
    x = layers.LayerNormalization(epsilon=1e-6)(x + y)
    y = layers.Dense(12)(layers.Dense(16, activation="relu")(x))
    x = layers.LayerNormalization(epsilon=1e-6)(x + layers.Dropout(0.1)(y))
    x = layers.Dense(8, activation="relu")(layers.GlobalAveragePooling1D()(x))
    return keras.Model(tokens, layers.Dense(2, activation="softmax")(x))


def speech_recognition():
    """audio/ctc_asr: convolutions of a spectrogram, GRUs in both directions."""
    inputs = keras.Input((None, 16))
    x = layers.Reshape((-1, 16, 1))(inputs)
    x = layers.Conv2D(6, (5, 5), (2, 2), padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Reshape((-1, 48))(x)
    x = layers.Bidirectional(layers.GRU(6, return_sequences=True))(x)
    x = layers.Dropout(0.5)(layers.ReLU()(layers.Dense(12)(x)))
    return keras.Model(inputs, layers.Dense(7, activation="softmax")(x))


WHOLE = [
    captcha_ocr,
    handwriting_recognition,
    vivit,
    scans,
    series_from_scratch,
    weather,
    text_from_scratch,
    bidirectional_lstm,
    video_cnn_rnn,
    video_time_distributed,
    next_frame,
    text_transformer,
    speech_recognition,
]


@pytest.mark.sweep(1)
@pytest.mark.parametrize("build", WHOLE)
def test_all_but_the_outputs_are_removable(build):
    check_network(build())


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    ("build", "share"), [(video_transformer, 18 / 42), (series_transformer, 28 / 32)]
)
def test_a_stream_that_starts_as_the_inputs_is_kept(build, share):
    check_network(build(), share, ["joins it with channels that cannot be removed"])


@pytest.mark.eager
@pytest.mark.sweep(1)
@pytest.mark.parametrize("build", [series_from_scratch, text_from_scratch])
def test_prune_with_its_defaults(build):
    check_prune(build())
