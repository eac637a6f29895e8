"""One thread: tiny tensors are not worth sharing, and waiting threads slow a busy machine down."""

import torch

torch.set_num_threads(1)
