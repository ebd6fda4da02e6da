"""What ours is compared with: idiomatic PyTorch for the same models, written as a tutorial has it and not slowed."""
