"""Training in several processes: torchrun's variables, gloo and NCCL."""
