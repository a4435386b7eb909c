"""Backbones as chains of blocks: our own, torchvision's and timm's."""
