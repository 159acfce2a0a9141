"""Wrong commands: what each of them has to name in its one line."""

import json

import numpy as np
import tensorflow as tf

DATA = "--data data.npz"
OUT = "-o out.keras"
PRUNE = f"prune model.keras {DATA} {OUT} --ranker l1_norm"
RANK = "rank model.keras -o out.json"
UNTIL = f"prune-until model.keras {DATA} {OUT} --ranker l1_norm"
REPORT = "report model.keras pruned.keras"

NO_MODELS = {
    "none.keras": "none.keras",
    "text.keras": "text.keras",
    "cut.keras": "cut.keras",
    "text.h5": "text.h5",
    "folder": "folder",
    "folder.keras": "folder.keras",
    "data.npz": "data.npz",
    "''": "''",
}
NO_DATA = {
    "none.npz": "none.npz",
    "folder": "folder",
    "text.npz": "text.npz",
    "cut.npz": "cut.npz",
    "pickled.npz": "pickled.npz",
    "nothing.npz": "nothing.npz",
    "words.npz": "words.npz",
    "uneven.npz": "uneven.npz",
    "wide.npz": "`--data`",
    "model.keras": "model.keras",
    "images": "b/broken.png",
    "tfds:a:b:c:": "tfds",
}
NO_TARGETS = {
    "folder.json": "folder.json",
    "data.npz/out.json": "data.npz",
    "/proc/out.json": "/proc",
    "out.txt": "out.txt",
    "model.keras": "model.keras",
    "''": "--output",
}
COMMANDS = {
    "": "COMMAND",
    "typo": "typo",
    **{f"inspect {model}": name for model, name in NO_MODELS.items()},
    **{
        f"rank {model} -o out.json --ranker l1_norm": n
        for model, n in NO_MODELS.items()
    },
    **{f"report model.keras {model}": name for model, name in NO_MODELS.items()},
    **{f"{RANK} --data {data}": name for data, name in NO_DATA.items()},
    **{f"{PRUNE} --validation-data {d}": n for d, n in NO_DATA.items() if d[0] != "w"},
    **{f"rank model.keras {DATA} -o {out}": name for out, name in NO_TARGETS.items()},
    **{
        f"prune model.keras {DATA} {option}": name
        for option, name in {
            "-o folder.keras": "folder.keras",
            "-o /proc/out.keras": "/proc",
            "-o data.npz/out.keras": "data.npz",
            "--export folder_with_text": "--export",
            "--export data.npz": "--export",
            "--export /proc/out": "--export",
            "--litert out.keras": "--litert",
            "--litert /proc/out.tflite": "--litert",
            "--report out.txt": "--report",
            "--report data.npz/out.html": "--report",
        }.items()
    },
    "inspect": "MODEL",
    "inspect code.keras": "code",
    "inspect model.keras --import none_of_these": "none_of_these",
    "inspect model.keras --import broken_module": "broken_module",
    "inspect model.keras --typo": "--typo",
    RANK: "--data",
    f"{RANK} {DATA} --ranker typo": "--ranker",
    f"{RANK} {DATA} --layers typo": "`--layers`",
    f"{RANK} {DATA} --ignore typo": "`--ignore`",
    f"{RANK} {DATA} --ignore *": "`--ignore`",
    f"{RANK} {DATA} --layers classes": "model output",
    f"{RANK} {DATA} --ratio 1.5": "`--ratio`",
    f"{RANK} {DATA} --ratio nan": "`--ratio`",
    f"{RANK} {DATA} --ratio half": "--ratio",
    f"{RANK} {DATA} --num-examples 0": "--num-examples",
    f"{RANK} {DATA} --num-examples 1.5": "--num-examples",
    f"{RANK} {DATA} --seed -1": "--seed",
    f"{RANK} {DATA} --rescale 1/0": "--rescale",
    f"{RANK} {DATA} --rescale much": "--rescale",
    f"{RANK} {DATA} --offset much": "--offset",
    f"{RANK} {DATA} --image-size 6": "--image-size",
    f"{RANK} --data classes.npz --ranker taylor": "`--data`",
    f"{RANK} --data fractions.npz --ranker taylor": "`--data`",
    f"{RANK} --data unlabelled.npz --ranker taylor": "`--data`",
    "rank locked.keras -o out.json --ranker l1_norm": "model output",
    "rank plain.keras -o out.json --data data.npz --ranker taylor": "compiled",
    f"{PRUNE} --ratio 1": "`--ratio`",
    f"{PRUNE} --ratio -0.5": "--ratio",
    f"{PRUNE} --ratio much": "--ratio",
    f"{PRUNE} --ratio 0.2 0.4": "{ratio}",
    f"{PRUNE} --of watts": "--of",
    f"{PRUNE} --scope typo": "--scope",
    f"{PRUNE} --granularity typo": "--granularity",
    f"{PRUNE} --round-to 0": "--round-to",
    f"{PRUNE} --min-units 1.5": "--min-units",
    f"{PRUNE} --layers typo": "`--layers`",
    f"{PRUNE} --ignore typo": "`--ignore`",
    f"{PRUNE} --repair typo": "--repair",
    f"{PRUNE} --minutes 5": "--minutes",
    f"{PRUNE} --repair mimic --minutes 0": "--minutes",
    f"{PRUNE} --int8": "--int8",
    f"{PRUNE} --ranking ranking.json": "--ranking",
    f"{PRUNE} --runtime litert": "--report",
    f"{PRUNE} --report a.html --runtime phone": "--runtime",
    f"{PRUNE} --report a.html --threads 2": "--runtime",
    f"{PRUNE} -o a.keras --target a.json": "--target",
    f"{PRUNE} -o a.keras --of latency --target a.json": "--target",
    f"{PRUNE} -o a.keras --of latency --threads 2": "--runtime",
    f"{UNTIL} --runtime litert": "--report",
    f"{REPORT} --runtime phone": "--runtime",
    f"{REPORT} --threads 2": "--runtime",
    f"{REPORT} --batch-size 2": "--runtime",
    f"{REPORT} --int8": "--runtime",
    f"{REPORT} --runtime tensorflow --threads 2": "`--threads`",
    f"{REPORT} --runtime tensorflow --int8": "--runtime litert",
    f"{REPORT} --runtime litert --threads 0": "--threads",
    f"{REPORT} --runtime litert --batch-size 0": "--batch-size",
    f"prune model.keras {DATA} --ranker l1_norm": "--output",
    f"prune model.keras {OUT}": "--data",
    **{
        f"prune model.keras {DATA} {OUT} --ranking {file}": name
        for file, name in {
            "none.json": "none.json",
            "folder": "folder",
            "data.npz": "data.npz",
            "text.json": "text.json",
            "other.json": "`--ranking`",
            "edited.json": "groups/conv/values",
        }.items()
    },
    f"{UNTIL} --max-drop -1": "`--max-drop`",
    f"{UNTIL} --max-drop nan": "`--max-drop`",
    f"{UNTIL} --max-drop much": "--max-drop",
    f"{UNTIL} --metric typo": "`--metric`",
    f"{UNTIL} --layers typo": "`--layers`",
    f"{UNTIL} --validation-data classes.npz": "`--validation-data`",
    f"{UNTIL} --validation-data unlabelled.npz": "`--validation-data`",
    f"prune-until model.keras --data unlabelled.npz {OUT}": "`--data`",
    f"prune-until plain.keras {DATA} {OUT}": "compiled",
    f"{REPORT} -o out.txt": "--output",
    f"{REPORT} -o /proc/out.html": "/proc",
    f"{REPORT} --data classes.npz": "`--data`",
    f"{REPORT} --data wide.npz": "`--data`",
    f"{REPORT} --ranking edited.json": "groups/conv/values",
    f"{REPORT} --ranking other.json": "ranking",
    "report model.keras": "AFTER",
    "report model.keras locked.keras": "pruned",
}


def write_files(world):
    """Writes what the commands name into the folder of the `World`."""
    folder, x, y = world.folder, world.x, world.y
    for name in ("model", "pruned", "locked", "plain"):
        getattr(world, name).save(folder / f"{name}.keras")
    _write_data(folder, x, y)
    for name in ("folder", "folder.keras", "folder.json", "folder_with_text"):
        (folder / name).mkdir(exist_ok=True)
    for name in ("text.keras", "text.h5", "text.npz", "text.json"):
        world.path(name, "text")
    world.path("folder_with_text/a.txt", "text")
    world.path("broken_module.py", "1 / 0")
    world.path("cut.keras", (folder / "model.keras").read_bytes()[:500])
    world.ranking.save(folder / "ranking.json")
    world.other_ranking.save(folder / "other.json")
    content = world.saved("ranking")
    content["groups"]["conv"]["values"][2] = "much"
    world.path("edited.json", json.dumps(content))
    pixels = np.zeros((6, 6, 1), "uint8")
    for name in ("a/black.png", "b/broken.png"):
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        image = tf.io.encode_png(pixels).numpy()
        world.path(f"images/{name}", image if "black" in name else image[:40])


def _write_data(folder, x, y):
    arrays = {
        "data": {"x": x, "y": y},
        "unlabelled": {"x": x},
        "classes": {"x": x, "y": np.where(y == 0, 9, y)},
        "fractions": {"x": x, "y": y + 0.5},
        "wide": {"x": np.zeros((4, 9)), "y": np.zeros(4, int)},
        "nothing": {"z": x},
        "words": {"x": np.array(["a", "b"])},
        "uneven": {"x": x, "y": y[:3]},
        "pickled": {"x": np.array([object(), None])},
    }
    for name, content in arrays.items():
        np.savez(folder / f"{name}.npz", **content)
    whole = bytearray((folder / "data.npz").read_bytes())
    whole[300:900] = bytes(600)  # what the checksum of the first array is taken of
    (folder / "cut.npz").write_bytes(bytes(whole))
