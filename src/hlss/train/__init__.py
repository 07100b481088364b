"""The loop, the optimiser and the checkpoints."""
