"""A plan while it is put together: views of tensors, and steps that get buffers when read."""
