"""Pure functions on arrays: what serving, training, parity check and tests all see a photograph through.

Knows no Triton, no files and no models. Every function leaves its input arrays as they were.
"""
