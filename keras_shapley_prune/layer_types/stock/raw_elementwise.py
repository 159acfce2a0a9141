"""Raw operations of `keras.ops` that treat every channel by itself, by class name.

What they make of zero does not matter: a removed unit is masked where it is read.
"""

import math

from keras_shapley_prune.layer_types.declared_type import DeclaredType
from keras_shapley_prune.layer_types.flows import (
    cut_constants,
    join_cut,
    join_halves,
    keep,
    pass_across,
)
from keras_shapley_prune.layer_types.registry import OPERATION_TYPES
from keras_shapley_prune.layer_types.stock.constants import forbid_arrays
from keras_shapley_prune.layer_types.stock.joins import SumType


class ReluType(DeclaredType):
    """A ReLU.

    Args:
        ceiling: Float, see `LayerType.relu_ceiling`.
    """

    def __init__(self, ceiling):
        super().__init__(keep, across=pass_across)
        self._ceiling = ceiling

    def relu_ceiling(self, operation):
        return self._ceiling


class SigmoidType(DeclaredType):
    """A sigmoid, which as the last operation makes probabilities."""

    def output_activation(self, operation):
        return "sigmoid"


class JoinType(DeclaredType):
    """What joins tensors, and arrays among its arguments, number by number."""

    def resize_call(self, args, kwargs, kept):
        return cut_constants(args, kwargs, kept)


class RawSumType(JoinType, SumType):
    """An addition."""


def _condition_only(call):
    values = [*call.args, *call.kwargs.values()]
    return "has a condition only" if len(values) < 3 or None in values else None


# Names, not classes: which of them there are depends on the version of Keras.
OF_ONE = """Absolute Angle Arccos Arccosh Arcsin Arcsinh Arctan Arctanh BitwiseInvert
        BitwiseNot Cast Cbrt Ceil Celu Conjugate ConvertToTensor Copy Cos Cosh Deg2rad
        Elu Erf Erfc Erfinv Exp Exp2 Expm1 Fabs Floor Gelu HardShrink HardSigmoid
        HardSilu HardTanh I0 Imag Isfinite Isinf Isnan Isneginf Isposinf Isreal
        LeakyRelu Log Log10 Log1p Log2 LogSigmoid LogicalNot Negative OnesLike Rad2deg
        Real Reciprocal Round Rsqrt SaturateCast Selu Sign Signbit Silu
        Sin Sinc Sinh SoftShrink Softplus Softsign SparsePlus SparseSigmoid Sqrt
        Square Squareplus StopGradient Tan Tanh TanhShrink Trunc ZerosLike""".split()
OF_SEVERAL = """Arctan2 Divide DivideNoNan Equal FloorDivide Fmax Fmin Fmod Greater
        GreaterEqual Heaviside Hypot Isclose Less LessEqual Logaddexp Logaddexp2
        LogicalAnd LogicalOr LogicalXor Maximum Minimum Mod Multiply Nextafter NotEqual
        Power Subtract TrueDivide""".split()
for name in OF_ONE:
    OPERATION_TYPES[name] = DeclaredType(keep, across=pass_across)
for name, constants in {
    "Clip": ("x_min", "x_max"),
    "NanToNum": ("nan", "posinf", "neginf"),
    "Threshold": ("threshold", "default_value"),
}.items():
    OPERATION_TYPES[name] = DeclaredType(
        keep, across=pass_across, unfit=forbid_arrays(*constants)
    )
for name in OF_SEVERAL:
    OPERATION_TYPES[name] = JoinType(join_cut)
OPERATION_TYPES["Relu"] = ReluType(math.inf)
OPERATION_TYPES["Relu6"] = ReluType(6.0)
OPERATION_TYPES["Sigmoid"] = SigmoidType(keep, across=pass_across)
OPERATION_TYPES["Add"] = RawSumType(join_cut)
OPERATION_TYPES["Where"] = JoinType(join_cut, unfit=_condition_only)
OPERATION_TYPES["Glu"] = DeclaredType(join_halves)
