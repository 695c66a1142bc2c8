"""Three ways to fine-tune one model, side by side: `python -m helpers.training.benchmark`."""
