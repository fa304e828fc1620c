"""Superpixel pooling (SPPP) and light latent attention (LLA)."""
