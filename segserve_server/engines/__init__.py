"""Engines that run a served graph, UINT8 in and UINT8 out, outside TensorRT."""
