"""Fourier transforms, which run along the last axis: each output reads all channels."""

from keras_shapley_prune.layer_types.registry import OPERATION_TYPES
from keras_shapley_prune.layer_types.stock.constants import lock

# An inverse or a frame of one does the same.
for name in "FFT FFT2 IFFT2 RFFT IRFFT STFT ISTFT ExtractSequences".split():
    OPERATION_TYPES[name] = lock("runs along the last axis")
