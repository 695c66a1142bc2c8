"""Which parameters of a model are embeddings, encoder and head, whatever its architecture calls them."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase


def embeddings(model: PreTrainedModel) -> nn.Module:
    """What turns ids into the first states: the base model's module `embeddings`, or else its table of words.

    Raises:
        ValueError: the model has neither.
    """
    whole = getattr(model.base_model, "embeddings", None)
    if isinstance(whole, nn.Module):
        return whole
    try:
        table: object = model.base_model.get_input_embeddings()  # type: ignore[operator]
    except NotImplementedError:
        table = None
    if not isinstance(table, nn.Module):
        raise ValueError(f"{type(model).__name__} names no module as its embeddings.")
    return table


def parameter_groups(model: PreTrainedModel) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The encoder's parameters and the head's. Together with the embeddings' they are all that the model has.

    The head is what stands outside the base model, and the base model's pooler; the encoder is the rest of the
    base model.

    Raises:
        ValueError: one of the two is empty.
    """
    base = model.base_model
    pooler = getattr(base, "pooler", None)
    pooled = {id(p) for p in pooler.parameters()} if isinstance(pooler, nn.Module) else set()
    inner = {id(p) for p in base.parameters()} - pooled
    frozen = {id(p) for p in embeddings(model).parameters()}
    trained = [p for p in model.parameters() if id(p) not in frozen]
    encoder = [p for p in trained if id(p) in inner]
    head = [p for p in trained if id(p) not in inner]
    if base is model or not encoder or not head:
        raise ValueError(
            f"{type(model).__name__} has {len(encoder)} tensors of an encoder and {len(head)} of a head outside "
            "it, where both are needed. Load it with AutoModelForSequenceClassification."
        )
    return encoder, head


def check_classifier(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Makes sure that a model and a tokenizer can be trained as one classifier of whole texts.

    Raises:
        ValueError: they can't; the message names why and what to do.
    """
    name, config = type(model).__name__, model.config
    if config.is_encoder_decoder:
        raise ValueError(
            f"{name} is an encoder-decoder, which writes an answer. Take an encoder such as BERT, "
            "loaded with AutoModelForSequenceClassification."
        )
    if (classes := int(config.num_labels or 0)) < 2 or config.problem_type in (
        "regression",
        "multi_label_classification",
    ):
        raise ValueError(
            f"{name} has {classes} outputs and problem_type {config.problem_type!r}; what is trained here is one "
            "choice among 2 or more classes. Load it with num_labels=2 or more and without problem_type."
        )
    if tokenizer.pad_token_id is None:
        raise ValueError(
            f"{type(tokenizer).__name__} has no padding token. Set one: tokenizer.pad_token = tokenizer.eos_token."
        )
    if getattr(config, "summary_type", None) == "last" and tokenizer.padding_side != "left":
        raise ValueError(
            f"{name} reads the last place of a text, where {type(tokenizer).__name__} puts padding. "
            'Set tokenizer.padding_side = "left".'
        )
    if config.pad_token_id != tokenizer.pad_token_id:
        raise ValueError(
            f"{name} takes the id {config.pad_token_id} for padding, where the tokenizer pads with "
            f"{tokenizer.pad_token_id} ({tokenizer.pad_token!r}). If the two belong together, set "
            "model.config.pad_token_id = tokenizer.pad_token_id."
        )
