"""The axes of an `EinsumDense` layer, a letter each."""

import dataclasses
import string


@dataclasses.dataclass(frozen=True)
class EinsumAxes:
    """The equation of a layer, its ellipsis written out.

    Attributes:
        inputs: String, the letters of the input's axes, the batch first.
        kernel: String, those of the kernel.
        outputs: String, those of the output.
    """

    inputs: str
    kernel: str
    outputs: str

    @property
    def equation(self):
        """String."""
        return f"{self.inputs},{self.kernel}->{self.outputs}"

    @property
    def contracted(self):
        """String, the axes of the input that are summed over, in their order."""
        return "".join(a for a in self.inputs if a not in self.outputs)

    @property
    def is_dense(self):
        """Boolean: the last axis is summed over, and the output's is a new one."""
        last = self.inputs[-1], self.outputs[-1]
        summed = last[0] in self.kernel and last[0] not in self.outputs
        return summed and last[1] in self.kernel and last[1] not in self.inputs

    @property
    def is_matrix(self):
        """Boolean: dense, and nothing but summed axes and one output axis."""
        return self.is_dense and set(self.kernel) == {
            *self.contracted,
            self.outputs[-1],
        }

    def letters_of(self, axes):
        """Returns axes as the letters of a `LayerType`.

        Args:
            axes: String, a letter an axis.
        """
        known = {self.inputs[-1]: "i", self.outputs[-1]: "o"}
        return "".join(known.get(axis, ".") for axis in axes)


def find_einsum_axes(operation):
    """Returns the `EinsumAxes` of a built `EinsumDense` layer."""
    sources, outputs = operation.equation.replace(" ", "").split("->")
    inputs, kernel = sources.split(",")
    if "..." in inputs:
        # The ellipsis stands for the axes that the equation does not name.
        free = [a for a in string.ascii_letters if a not in operation.equation]
        width = operation.input_spec.ndim - len(inputs.replace("...", ""))
        middle = "".join(free[:width])
        inputs, outputs = (s.replace("...", middle) for s in (inputs, outputs))
    return EinsumAxes(inputs, kernel, outputs)
