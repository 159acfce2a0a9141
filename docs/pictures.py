"""Makes the pictures of reports.md: `python docs/pictures.py`, after
`pip install ".[examples,plots]"`.

It needs Graphviz and Chromium (`apt-get install graphviz chromium`).
"""

import pathlib
import shutil
import subprocess
import tempfile

import keras
import matplotlib
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import keras_shapley_prune

FOLDER = pathlib.Path(__file__).parent
COLUMNS = (0, 925, 1730)  # pixels from the top of the page, one for each phone
PHONE = "overflow:hidden;width:375px;height:925px"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")


def build_model():
    """Returns a small residual network for digits."""
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(32, 3, padding="same", activation="relu", name="stem")(inputs)
    for block in range(2):
        y = layers.Conv2D(48, 3, padding="same", name=f"block{block}_inner")(x)
        y = layers.BatchNormalization(name=f"block{block}_norm")(y)
        y = layers.ReLU(name=f"block{block}_relu")(y)
        y = layers.Conv2D(32, 3, padding="same", name=f"block{block}_outer")(y)
        x = layers.Add(name=f"block{block}_add")([x, y])
        x = layers.ReLU(name=f"block{block}_end")(x)
    x = layers.Conv2D(64, 3, padding="same", activation="relu", name="wide")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = layers.Dense(10, activation="softmax", name="logits")(x)
    model = keras.Model(inputs, outputs, name="small_resnet")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def take_phones(page, path):
    """Writes what phones show of a page, side by side."""
    frames = "".join(
        f'<div style="{PHONE}"><iframe src="{page.as_uri()}" width="375" height="4000"'
        f' style="border:0;margin-top:-{top}px"></iframe></div>'
        for top in COLUMNS
    )
    wrapper = page.with_name("phones.html")
    style = "margin:0;display:flex;gap:20px;background:#fff"
    wrapper.write_text(f'<body style="{style}">{frames}', encoding="utf-8")
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))))
    size = f"{375 * len(COLUMNS) + 20 * (len(COLUMNS) - 1)},925"
    subprocess.run(
        [
            browser,
            *FLAGS,
            f"--user-data-dir={page.parent / 'profile'}",
            f"--window-size={size}",
            f"--screenshot={path}",
            wrapper.as_uri(),
        ],
        check=True,
        capture_output=True,
    )


def main():
    matplotlib.use("Agg")
    keras.utils.set_random_seed(0)
    x, y = load_digits(return_X_y=True)
    x, test_x, y, test_y = train_test_split(
        x.reshape(-1, 8, 8, 1) / 16, y, random_state=0
    )
    model = build_model()
    model.fit(x, y, epochs=20, verbose=0)
    keras_shapley_prune.plot_channels(model, FOLDER / "channels.png")
    ranking = keras_shapley_prune.ShapleyRanker().rank(model, x[:200], ratio=0.5)
    plan = keras_shapley_prune.plan_pruning(model, ranking, 0.5)
    axes = keras_shapley_prune.plot_ranking(ranking, cut=plan)
    axes.figure.savefig(FOLDER / "ranking.png", dpi=100)
    pruned = keras_shapley_prune.apply_plan(model, plan, x[:200])
    comparison = keras_shapley_prune.compare(
        model,
        pruned,
        (test_x, test_y),
        ranking,
        measure=["metrics", "agreement", "activations"],
        runtime="litert",
        plan=plan,
    )
    with tempfile.TemporaryDirectory() as folder:
        page = pathlib.Path(folder) / "report.html"
        comparison.to_html(page)
        take_phones(page, FOLDER / "report.png")


if __name__ == "__main__":
    main()
