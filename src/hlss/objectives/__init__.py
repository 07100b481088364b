"""What is learnt: one paper a file, over one contrastive kernel."""
