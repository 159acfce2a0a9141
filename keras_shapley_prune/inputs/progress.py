"""One of Keras's progress bars over the steps of a long run."""

import contextlib
import shutil
import time

import keras

from keras_shapley_prune.inputs.arguments import check_verbose
from keras_shapley_prune.inputs.short_text import shorten

# A line that is broken by the terminal cannot be overwritten: what is not the label
# takes up to so many characters.
_BAR_WIDTH = 50


class Progress:
    """A bar over the steps of a run, with what is worked on; or a line for each.

    A step gets the part of the bar that corresponds to its planned seconds, among
    those of the steps to come. So the bar never goes back, even where a plan becomes
    known late or was wrong. It is a context manager: the bar is complete when the
    context ends, and not before. After an error only its line is ended.

    Args:
        verbose: `"auto"` or 1 for a progress bar, 2 for lines, 0 for silence.
        planned: Dict: name of a step -> seconds. Steps of other names may begin, too.

    Raises:
        ValueError: If `verbose` is something else.

    Example:

    ```python
    with Progress("auto", {"read": 1.0, "write": 3.0}) as progress:
        progress.begin("read")
        progress.begin("write")
        for name in names:
            progress.show(f"writing {name}")
            ...
            progress.add(1 / len(names))
    ```
    """

    def __init__(self, verbose, planned=None):
        check_verbose(verbose)
        self._verbose = 1 if verbose == "auto" else int(verbose)
        self._to_come = dict(planned or {})
        self._start = time.perf_counter()
        # Shares of the whole bar: where it is, the step's end, and the step's part.
        self._at, self._end, self._part = 0.0, 0.0, 0.0
        self._label, self._drawn, self._bar = "", None, None
        if self._verbose == 1:
            # It is drawn where something has changed, and then at once.
            self._bar = keras.utils.Progbar(100, interval=0, unit_name="%")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if self._drawn is None:
            return
        if kind is None:
            self._bar.unit_name = "%"
            self._bar.update(100)
        else:
            print()  # what is printed about the error gets a line of its own

    def begin(self, step, seconds=None):
        """Begins a step, and ends the one before.

        Args:
            step: String, its name.
            seconds: Float, what it is planned to take. `None` for what was planned
                from the beginning.
        """
        planned = self._to_come.pop(step, 0.0)
        seconds = planned if seconds is None else seconds
        whole = seconds + sum(self._to_come.values())
        self._at = self._end  # the step before may have taken less than planned
        self._part = (1 - self._at) * seconds / max(whole, 1e-9)
        self._end = self._at + self._part

    def replan(self, planned):
        """Corrects what steps to come are planned to take.

        Args:
            planned: Dict: name of a step -> seconds. Others are as they were.
        """
        self._to_come |= {k: v for k, v in planned.items() if k in self._to_come}

    def add(self, share):
        """Counts a share of the step, a float in [0, 1]."""
        # The plan may have been too low: the rest of the bar is for other steps.
        self._at = min(self._at + share * self._part, self._end)
        self._draw()

    def show(self, label):
        """Names what is worked on from here on, such as `"ranking conv2d"`."""
        self._label = label
        self._draw()

    def show_share(self, label, share):
        """Names what is worked on, and says how much of the step is done by now."""
        self._at = max(self._at, self._end - (1 - share) * self._part)
        self.show(label)

    def part(self, steps, label=""):
        """Returns a `Progress` of what is done within the step that has begun.

        Its steps share out this step's part of the bar. Nothing ends with it.

        Args:
            steps: Dict: name of a step -> seconds.
            label: String, which comes before the labels of these steps.
        """
        return _Part(self, steps, label)

    def reach(self, share, label):
        """Names what is worked on, and moves on to a share of the step."""
        start = self._end - self._part
        self._at = min(max(self._at, start + share * self._part), self._end)
        self.show(label)

    def note(self, text):
        """Prints a line about what has been done, with `verbose=2`."""
        if self._verbose == 2:
            spent = time.perf_counter() - self._start
            print(f"{text}, {spent:.1f} s so far")

    def _draw(self):
        percent = min(int(100 * self._at + 1e-6), 99)  # 100 is for the end
        # Keras leaves the time before 1 out of its estimates: here, that is compiling
        # and a pass of the data.
        percent = percent if percent > 1 else 0
        if self._bar is None or self._drawn == (percent, self._label):
            return
        self._drawn = percent, self._label
        # Keras's values are numbers. What comes last on its line is the unit.
        self._bar.unit_name = f"% - {_fit(self._label)}"
        self._bar.update(percent)


class _Part(Progress):
    """The steps of a step: what it draws is drawn by the `Progress` of the whole.

    Args:
        whole: The `Progress`, in whose step these are.
        steps: See `Progress.part`.
        label: See `Progress.part`.
    """

    def __init__(self, whole, steps, label):
        super().__init__(0, steps)
        self._whole, self._prefix = whole, label

    def note(self, text):
        """Prints nothing: the line is that of the whole step."""

    def _draw(self):
        self._whole.reach(self._at, f"{self._prefix}{self._label}")


def show_progress(progress, verbose, planned=None):
    """Returns a context of a `Progress`: of one's own, unless one is handed on.

    Args:
        progress: A `Progress`, which the context does not end, or `None`.
        verbose: See `Progress`.
        planned: See `Progress`, of one's own.
    """
    if progress is not None:
        return contextlib.nullcontext(progress)
    return Progress(verbose, planned)


def _fit(label):
    """Returns a label, shortened in its middle where the terminal is too narrow."""
    room = max(shutil.get_terminal_size().columns - _BAR_WIDTH, 12)
    # The step's name is at the beginning, and what tells layers apart at the end.
    return shorten(label, room, "...")
