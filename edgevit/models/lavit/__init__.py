"""LaViT: less-attention vision transformers."""
