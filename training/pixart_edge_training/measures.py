"""What can be read off pixels without a network: backdrop colour, the thing's colour, sharpness, transparency; and how far
two sets of pictures are apart.

Pictures are [B, 4, H, W] in [-1, 1]. All colours are compared in OKLab.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .oklab import to_oklab

BACKDROP_ERROR_MAX = 0.08
"""Mean OKLab distance up to which a backdrop counts as the one asked for."""

THING_DISTANCE_MIN = 0.10
"""OKLab distance from the backdrop of its row from which a pixel belongs to the thing."""

_EDGE = 6  # px: how wide a border strip is looked at


def _lab(pictures: Tensor) -> Tensor:
    """[B, H, W, 3]."""
    return to_oklab((pictures[:, :3] / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1))


def _row_colours(lab: Tensor) -> Tensor:
    """The backdrop of every row, from the border strips left and right: their per-channel median. [B, H, 3]."""
    strips = torch.cat([lab[:, :, :_EDGE], lab[:, :, -_EDGE:]], dim=2)
    return strips.median(dim=2).values


def backdrop_errors(pictures: Tensor, real: Tensor) -> Tensor:
    """Mean OKLab distance between the backdrops of two batches, row by row. [B]."""
    return (_row_colours(_lab(pictures)) - _row_colours(_lab(real))).norm(dim=-1).mean(dim=1)


def colour_ranks(pictures: Tensor, palette: Tensor) -> Tensor:
    """How common each palette colour is on the thing, as ranks from 0 for the commonest. [B, colours].

    `palette` is OKLab [colours, 3]. A pixel counts for its nearest colour.
    """
    lab = _lab(pictures)
    apart = (lab - _row_colours(lab).unsqueeze(2)).norm(dim=-1) > THING_DISTANCE_MIN  # [B, H, W]
    nearest = torch.cdist(lab.flatten(1, 2), palette.expand(len(lab), -1, -1)).argmin(-1)  # [B, H * W]
    counts = torch.zeros(len(lab), len(palette))
    counts.scatter_add_(1, nearest, apart.flatten(1).float())
    return counts.argsort(dim=1, descending=True).argsort(dim=1)


def mean_gradients(pictures: Tensor) -> Tensor:
    """Mean absolute difference between neighbours of the grey picture, in steps of 255. [B]."""
    grey = ((pictures[:, :3].clamp(-1, 1) / 2 + 0.5) * 255).mean(dim=1)
    return (grey.diff(dim=1).abs().mean(dim=(1, 2)) + grey.diff(dim=2).abs().mean(dim=(1, 2))) / 2


def is_see_through(pictures: Tensor) -> Tensor:
    """Whether the corners are transparent. bool [B]."""
    alpha = (pictures[:, 3] / 2 + 0.5).clamp(0, 1)
    corners = torch.stack([alpha[:, :8, :8], alpha[:, :8, -8:], alpha[:, -8:, :8], alpha[:, -8:, -8:]], dim=1)
    return corners.mean(dim=(1, 2, 3)) < 0.5


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Distance between two sets of features as Gaussians, [N, D] and [M, D]; 0 for equal ones.

    Heusel and others, "GANs Trained by a Two Time-Scale Update Rule" (2017): |mean difference|² + tr(A + B - 2 (AB)^½).
    """
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors @ torch.diag(values.clamp_min(0).sqrt()) @ vectors.T
    crossed = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    apart = (a.mean(0) - b.mean(0)).square().sum()
    return float(apart + cov_a.trace() + cov_b.trace() - 2 * crossed)
