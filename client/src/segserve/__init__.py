"""Client for medical-image segmentation models served by NVIDIA Triton."""
