"""The work of each Python-backend step between Triton's tensors and ``imaging``."""
