"""Exercises of the lesson `masked`: which patches are seen and how they come back, and what the loss is about."""

from __future__ import annotations

import torch
from torch import Tensor

from fgssl_edu.draws import normal, uniform
from fgssl_edu.exercises.verdict import TOLERANCE, Answer, Verdict, judge


def check_random_masking(answer: Answer) -> Verdict:
    """Check `answer(noise, ratio) -> keep, restore`: MAE's random masking and the way back.

    noise (B, n), ratio of hidden patches; keep (B, m) int64, the positions of the m = n (1 - ratio) least noisy
    patches; restore (B, n) int64: with visible tokens first, in the order of `keep`, and mask tokens after them,
    `gather` by it puts every visible token back where it was.
    """
    noise = uniform(21, 0, torch.arange(3), "noise", 12)

    def shapes(f: Answer) -> str | None:
        keep, restore = _pair(f(noise, 0.75))
        found = f"keep {tuple(keep.shape)} {keep.dtype}, restore {tuple(restore.shape)} {restore.dtype}"
        ok = (keep.shape, restore.shape) == ((3, 3), (3, 12)) and keep.dtype == restore.dtype == torch.int64
        return None if ok else f"12 patches, three quarters hidden: (3, 3) and (3, 12), both int64, not {found}"

    def least(f: Answer) -> str | None:
        keep, _ = _pair(f(noise, 0.75))
        wanted = noise.sort(dim=1).values[:, :3]
        ok = torch.equal(noise.gather(1, keep).sort(dim=1).values, wanted)
        return None if ok else "the visible patches should be those of the least noise, in each image by itself"

    def ratio(f: Answer) -> str | None:
        keep, _ = _pair(f(noise, 0.5))
        return None if keep.shape == (3, 6) else f"half hidden: 6 of 12 stay, not {keep.shape[1]}: is `ratio` hidden?"

    def permutation(f: Answer) -> str | None:
        _, restore = _pair(f(noise, 0.75))
        ok = torch.equal(restore.sort(dim=1).values, torch.arange(12).expand(3, -1))
        return None if ok else "each row of `restore` should hold every number from 0 to n - 1 once"

    def back(f: Answer) -> str | None:
        keep, restore = _pair(f(noise, 0.75))
        tokens = torch.arange(12).expand(3, -1)  # each says where it was
        ordered = torch.cat([tokens.gather(1, keep), torch.full((3, 9), -1)], dim=1).gather(1, restore)
        seen = torch.zeros(3, 12, dtype=torch.bool).scatter_(1, keep, True)
        ok = torch.equal(ordered, torch.where(seen, tokens, -1))
        hint = "; `restore` is the inverse of the order by noise, and the inverse of a permutation is its argsort"
        return None if ok else f"visible tokens and mask tokens do not come back to their places{hint}"

    return judge(answer, [shapes, least, ratio, permutation, back])


def check_masked_loss(answer: Answer) -> Verdict:
    """Check `answer(patches, guess, mask) -> scalar`: MAE's loss with normalised patches.

    patches and guess (B, n, P), mask (B, n) bool, True where hidden. Each patch is brought to mean 0 and (unbiased)
    variance 1, with 1e-6 added to the variance before the root; then the mean squared error of the hidden ones.
    """
    patches, guess = (normal(22, 0, torch.arange(2), name, 6 * 12).view(2, 6, 12) for name in ("patches", "guess"))
    mask = torch.tensor([[True, True, True, False, False, False], [True, True, True, True, False, False]])
    everything = torch.ones(2, 6, dtype=torch.bool)

    def scalar(f: Answer) -> str | None:
        found = f(patches, guess, mask)
        ok = isinstance(found, Tensor) and found.ndim == 0
        return None if ok else "should return one number, the mean over all hidden patches of the batch"

    def nothing(f: Answer) -> str | None:
        value = float(_tensor(f(patches, torch.zeros_like(guess), everything)))
        hints = {1.0: ": that is the biased variance", 0.0: ": is the target normalised?"}
        hint = hints.get(round(value, 3), "")
        words = "zeros for patches of 12 values should lose 11/12 = .9167: the variance is the unbiased one"
        return None if abs(value - 11 / 12) < TOLERANCE else f"{words}, not {value:.4f}{hint}"

    def visible(f: Answer) -> str | None:
        other = torch.where(mask[:, :, None], guess, guess + 5)
        ok = abs(float(_tensor(f(patches, other, mask))) - float(_tensor(f(patches, guess, mask)))) < TOLERANCE
        return None if ok else "a guess at a visible patch changed the loss: only hidden patches count"

    def count(f: Answer) -> str | None:
        value, zeros = float(_tensor(f(patches, torch.zeros_like(guess), mask))), 11 / 12
        words = "divide by the number of hidden patches, not of all"
        return None if abs(value - zeros) < TOLERANCE else f"{words}: with 7 of 12 hidden still .9167, not {value:.4f}"

    def light(f: Answer) -> str | None:
        scales = torch.tensor([0.5, 1.0, 2.0, 3.0, 4.0, 5.0])[None, :, None]
        ok = (
            abs(float(_tensor(f(scales * patches + scales, guess, mask))) - float(_tensor(f(patches, guess, mask))))
            < 1e-3
        )
        return None if ok else "each patch should be normalised by its own mean and deviation: lightness must not count"

    def flat(f: Answer) -> str | None:
        value = float(_tensor(f(torch.ones(2, 6, 12), torch.zeros(2, 6, 12), mask)))
        words = "a patch of one grey has no deviation: add 1e-6 to the variance, so that its target is zeros"
        return None if abs(value) < TOLERANCE else f"{words} and not {value}"

    def learns(f: Answer) -> str | None:
        leaf = guess.clone().requires_grad_()
        found = f(patches, leaf, mask)
        assert isinstance(found, Tensor)
        if not found.requires_grad:
            return "no gradient reaches the guess: return a tensor, with nothing detached on its way"
        (gradient,) = torch.autograd.grad(found, leaf)
        return (
            None if gradient[mask].any() and not gradient[~mask].any() else "gradient should reach hidden patches only"
        )

    return judge(answer, [scalar, nothing, visible, count, light, flat, learns])


def _pair(found: object) -> tuple[Tensor, Tensor]:
    if not (isinstance(found, tuple | list) and len(found) == 2 and all(isinstance(each, Tensor) for each in found)):
        raise ValueError("should return two tensors, keep and restore")
    return found[0], found[1]


def _tensor(found: object) -> Tensor:
    if not isinstance(found, Tensor):
        raise ValueError(f"should return a tensor, returned {type(found).__name__}")
    return found.detach()
