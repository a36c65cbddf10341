from __future__ import annotations

import pytest
import torch

from fgssl_edu.views import BackgroundSwap


def swap_of_two_skies() -> BackgroundSwap:
    foreground = torch.zeros(6, 4, 4, dtype=torch.uint8)
    foreground[:, 1:3, 1:3] = 255  # the bird
    foreground[:, 0, 0] = 51  # a fifth of a bird
    return BackgroundSwap(foreground, torch.stack([torch.full((3, 4, 4), c) for c in (0, 100)]).to(torch.uint8))


def test_the_bird_stays_and_all_else_is_the_new_background() -> None:
    images = torch.full((3, 3, 4, 4), 200, dtype=torch.uint8)
    index = torch.tensor([5, 0, 2])
    swapped = swap_of_two_skies()(images, 0, 0, index, "view0")
    sky = swapped[:, :, 3, 3].float()
    assert swapped.dtype == torch.uint8 and (swapped[:, :, 1:3, 1:3] == 200).all()
    assert set(sky.flatten().tolist()) <= {0.0, 100.0}
    assert torch.equal(swapped[:, :, 0, 0].float(), (0.8 * sky + 0.2 * 200).round())


def test_backgrounds_are_drawn_evenly_per_image_and_purpose() -> None:
    swap, images = swap_of_two_skies(), torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    skies = torch.tensor(
        [
            [swap(images, 0, step, torch.tensor([1]), f"view{v}")[0, 0, 3, 3].item() for v in range(2)]
            for step in range(200)
        ]
    )
    shares = (skies == 100).float()
    assert (shares.mean(dim=0) - 0.5).abs().max() < 0.15  # 4 standard errors at 200 draws
    assert abs((skies[:, 0] == skies[:, 1]).float().mean().item() - 0.5) < 0.15  # independent views
    again = swap(images, 0, 0, torch.tensor([1]), "view0")
    assert again[0, 0, 3, 3] == skies[0, 0]


def test_masks_stay_out_of_checkpoints_and_sizes_must_agree() -> None:
    assert not swap_of_two_skies().state_dict()
    with pytest.raises(ValueError, match=r"\(4, 4\).*\(8, 8\)"):
        BackgroundSwap(torch.zeros(1, 4, 4, dtype=torch.uint8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
