"""The plain CNN of the composites: three convolutions and two linear layers, as the paper's baseline for ML-MNIST has.

The paper gives no widths. Strides in place of pooling keep a training within seconds on one core.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import skip_init


class SimpleNetwork(nn.Module):
    """f is the first linear layer's output after its ReLU; the second linear layer is the classifier.

    Shapes: images (N, channels, size, size) -> features (N, 128), not negative -> logits (N, classes).
    """

    widths = (16, 32, 64)
    hidden = 128

    def __init__(self, channels: int, size: int, classes: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList()
        for width, kernel, stride in zip(self.widths, (5, 3, 3), (3, 2, 2), strict=True):
            self.convolutions.append(
                skip_init(nn.Conv2d, channels, width, kernel, stride=stride, padding=kernel // 2)  # type: ignore[no-untyped-call]
            )
            channels, size = width, -(-size // stride)
        self.linear = skip_init(nn.Linear, channels * size * size, self.hidden)  # type: ignore[no-untyped-call]
        self.classifier = skip_init(nn.Linear, self.hidden, classes)  # type: ignore[no-untyped-call]
        for layer in (*self.convolutions, self.linear, self.classifier):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(layer.bias)

    def features(self, images: Tensor) -> Tensor:
        for convolution in self.convolutions:
            images = F.relu(convolution(images))
        return F.relu(self.linear(images.flatten(1)))

    def classify(self, features: Tensor) -> Tensor:
        logits: Tensor = self.classifier(features)
        return logits

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.features(images))
