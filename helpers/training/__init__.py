"""The fine-tuning engine, from the recipe to the command line: nothing here draws, and no chapter is needed to read it."""
