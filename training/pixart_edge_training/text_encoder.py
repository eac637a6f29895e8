"""The T5 v1.1 text encoder, small, with the weights' names that transformers gives them."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import T5Config, T5EncoderModel

from .config import TextShape


def build_text_encoder(shape: TextShape, vocab_size: int) -> T5EncoderModel:
    config = T5Config(
        vocab_size=vocab_size,
        d_model=shape.d_model,
        d_kv=shape.d_kv,
        d_ff=shape.d_ff,
        num_layers=shape.num_layers,
        num_heads=shape.num_heads,
        feed_forward_proj="gated-gelu",
        relative_attention_num_buckets=32,
        relative_attention_max_distance=128,
        dropout_rate=0.0,
        layer_norm_epsilon=1e-6,
        pad_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=False,
        is_encoder_decoder=False,
        use_cache=False,
    )
    config._attn_implementation = "eager"
    return T5EncoderModel(config)


def encode_text(encoder: T5EncoderModel, ids: Tensor, mask: Tensor) -> Tensor:
    """[B, L] ids and mask -> [B, L, d_model]. Rows of pads carry values that a masked reader never sees."""
    return encoder(input_ids=ids, attention_mask=mask.to(torch.int64)).last_hidden_state
