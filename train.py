"""Trains a network: ``python train.py experiment=segmentation/unet_camvid``; ``--help`` says more."""

from visionkit.errors import guard
from visionkit.launch import train

if __name__ == "__main__":
    guard(train)
