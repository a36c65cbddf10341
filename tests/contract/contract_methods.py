"""Six short methods, each made to break one part of the contract; they and all registered ones run the same tests."""

from __future__ import annotations

import hashlib
import inspect
import multiprocessing
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.distributed import gather
from fgssl_edu.losses import info_nce, negative_cosine
from fgssl_edu.methods import METHODS, build
from fgssl_edu.methods.base import Method, optimizer
from fgssl_edu.nets import build_encoder, ema_copy, ema_update, seeded
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import History, pretrain
from fgssl_edu.views import as_float

COUNT, SIDE, BATCH = 24, 16, 8  # three steps an epoch
ENCODERS = {"mae": "vit_mini", "simmim": "vit_mini"}  # of methods that need one of their own, not a resnet10
PRELOAD = ["pytest", "torch._dynamo", "lightning_fabric", "fgssl_edu.train", "fgssl_edu.methods"]


def context() -> multiprocessing.context.BaseContext:
    """Processes forked from a server that has imported torch: .2 s each instead of ten."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(PRELOAD)
    return made


def pictures(count: int = COUNT) -> Tensor:
    return (draws.uniform(3, 0, torch.arange(count), "pictures", 3 * SIDE * SIDE) * 256).byte().view(-1, 3, SIDE, SIDE)


class Plain(Method):
    """What the six share: an encoder without BatchNorm, and pictures with keyed noise as views."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = build_encoder("resnet10", norm="group", seed=0)

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        noise = draws.uniform(self.seed, step, batch.index, "noise", batch.images[0].numel()).view(batch.images.shape)
        return as_float(batch.images), (as_float(batch.images) + 0.1 * noise).clamp(0, 1)


class TwoOptimizers(Plain):
    """A decoder learns at a constant rate of its own, beside the encoder."""

    def __init__(self) -> None:
        super().__init__()
        with seeded(1):
            self.decoder = nn.Linear(self.encoder.dim, 3 * SIDE * SIDE)

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        clean, noisy = views
        decoded = self.decoder(self.encoder(noisy)).view_as(clean)
        return {"loss": F.mse_loss(decoded, clean)}

    def optimizers(self, recipe: Recipe) -> list[Optimizer]:
        own = torch.optim.Adam([{"params": [*self.decoder.parameters()], "schedule": "constant"}], lr=1e-2)
        return [optimizer(self.encoder, recipe, final_weight_decay=0.4), own]


class Adversarial(TwoOptimizers):
    """One backward of one loss, though decoder and critic want opposite things."""

    def __init__(self) -> None:
        super().__init__()
        with seeded(2):
            self.critic = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        clean, noisy = views
        fake = torch.sigmoid(self.decoder(self.encoder(noisy))).view_as(clean)
        critic_loss = F.softplus(-self.critic(clean)).mean() + F.softplus(self.critic(fake.detach())).mean()
        frozen = {name: value.detach() for name, value in self.critic.named_parameters()}
        fooled = F.softplus(-functional_call(self.critic, frozen, (fake,))).mean()
        return {"loss": critic_loss + fooled, "critic": critic_loss.detach()}

    def optimizers(self, recipe: Recipe) -> list[Optimizer]:
        makers = nn.ModuleList([self.encoder, self.decoder])
        return [optimizer(makers, recipe), optimizer(self.critic, recipe, schedule="constant")]


class Clusters(Plain):
    """Labels from k-means before each epoch: results are state."""

    assigned: Tensor
    epochs_seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        with seeded(1):
            self.classifier = nn.Linear(self.encoder.dim, 4)
        self.register_buffer("epochs_seen", torch.zeros((), dtype=torch.long))

    def start(self, images: Images, resumed: bool) -> None:
        self.register_buffer("assigned", torch.zeros(images.count, dtype=torch.long))

    @torch.no_grad()
    def before_epoch(self, images: Images, epoch: int) -> None:
        rows = torch.zeros(images.count, self.encoder.dim)
        for batch in images.batches(6):
            rows[batch.index] = self.encoder(as_float(batch.images))
        features = F.normalize(gather(rows[None]).sum(dim=0), dim=1)  # (N, D)
        centroids = features[:4]
        for _ in range(3):
            label = (features @ centroids.T).argmax(dim=1)
            centroids = F.normalize(F.one_hot(label, 4).float().T @ features, dim=1)
        self.assigned.copy_(label)
        self.epochs_seen += 1

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        logits = self.classifier(self.encoder(views[1]))
        return {"loss": F.cross_entropy(logits, self.assigned[batch.index])}


class TokenEncoder(nn.Module):
    """A transformer of one layer over 4x4 patches."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.dim, self.patch = 32, nn.Conv2d(3, 32, 4, stride=4)
        self.place = nn.Parameter(torch.randn(1, 16, 32) * 0.02)
        self.block = nn.TransformerEncoderLayer(32, 2, 64, dropout, batch_first=True, norm_first=True)

    def tokens(self, images: Tensor, keep: Tensor | None = None) -> Tensor:
        tokens = self.patch(images).flatten(2).transpose(1, 2) + self.place  # (B, n, D)
        if keep is not None:
            tokens = tokens.gather(1, keep[:, :, None].expand(-1, -1, self.dim))  # (B, kept, D)
        return self.block(tokens)

    def forward(self, images: Tensor) -> Tensor:
        return self.tokens(images).mean(dim=1)


class MaskedTokens(Plain):
    """Sees half of the tokens, predicts the mean colour of the whole; dropout takes global random numbers."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        with seeded(1):
            self.encoder = TokenEncoder(dropout)
            self.decoder = nn.Linear(32, 3)

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        keep = draws.uniform(self.seed, step, batch.index, "mask", 16).argsort(dim=1)[:, :8]
        return as_float(batch.images), keep

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        images, keep = views
        guess = self.decoder(self.encoder.tokens(images, keep).mean(dim=1))
        return {"loss": F.mse_loss(guess, images.mean(dim=(2, 3)))}


class Bank(Plain):
    """A row for every image, written in training: on two processes each brings half of the rows."""

    rows: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.new: list[tuple[Tensor, Tensor]] = []

    def start(self, images: Images, resumed: bool) -> None:
        self.register_buffer("rows", draws.normal(0, 0, torch.arange(images.count), "bank", self.encoder.dim))

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        now = self.encoder(views[1])  # (B, D)
        self.new.append((batch.index, now.detach()))
        loss = info_nce(now, self.rows[batch.index], self.rows.clone(), temperature=0.5)
        return {"loss": loss, "embeddings": now.detach()}

    def after_step(self, progress: float) -> None:
        for index, rows in self.new:
            self.rows[gather(index)] = F.normalize(gather(rows), dim=1)
        self.new.clear()


class LocalBank(Bank):
    """What the contract forbids: each process writes what only it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()

    def after_step(self, progress: float) -> None:
        for index, rows in self.new:
            self.rows[index] = F.normalize(rows, dim=1)
            self.seen.update(index.tolist())
        self.new.clear()


class Teacher(Plain):
    """What is scored is not what is trained; the head stays frozen for the first half of training."""

    def __init__(self) -> None:
        super().__init__()
        with seeded(1):
            self.head = nn.Linear(self.encoder.dim, 32)
        self.teacher = ema_copy(self.encoder)
        self.target_head = ema_copy(self.head)

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        target = self.target_head(self.teacher(views[0])).detach()
        return {"loss": negative_cosine(self.head(self.encoder(views[1])), target)}

    def before_step(self, progress: float) -> None:
        if progress < 0.5:
            self.head.zero_grad()

    def after_step(self, progress: float) -> None:
        ema_update(self.teacher, self.encoder, 0.9)

    def evaluated(self) -> nn.Module:
        return self.teacher


def fields_of(name: str, count: int = COUNT) -> dict[str, object]:
    """What a registered method needs for few small pictures, of what its constructor takes."""
    small = {"size": SIDE, "queue": 20, "ema": 0.9, "labels": torch.arange(count) % 3, "classes": 3}
    small |= {"decoder": "nearest", "decoder_size": SIDE, "memory": 20}  # a learned decoder has BatchNorm
    small |= {"prototypes": 6}
    small |= {"out": 6} if name in ("barlow", "vicreg") else {}  # sums over dimensions; the tests are for losses near 1
    taken = inspect.signature(METHODS[name]).parameters
    return {field: value for field, value in small.items() if field in taken}


def make(name: str, dropout: float = 0.0) -> Method:
    if name in METHODS:
        encoder = build_encoder(ENCODERS.get(name, "resnet10"), norm="group", seed=0)
        return build(name, encoder, **fields_of(name))
    return MaskedTokens(dropout) if name == "MaskedTokens" else SIX[name]()


SIX = {each.__name__: each for each in (TwoOptimizers, Adversarial, Clusters, MaskedTokens, Bank, Teacher)}
NAMES = [*SIX, *METHODS]


def train(
    method: Method,
    folder: Path | None = None,
    processes: int = 1,
    steps: int = 7,
    monitors: tuple = (),
    count: int = COUNT,
) -> History:
    recipe = Recipe(
        steps=steps, batch=BATCH, lr=1e-3, warmup=2, checkpoint_every=2, accelerator="cpu", devices=processes
    )
    return pretrain(method, pictures(count), recipe, monitors, folder, progress=False)


def digest(state: dict[str, Tensor]) -> str:
    """A hash of every bit of a state."""
    total = hashlib.sha256()
    for name, value in state.items():
        total.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()
