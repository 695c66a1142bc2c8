"""How bytes become a tokenizer, a model folder or a `DatasetDict`: nothing here trains or draws."""
