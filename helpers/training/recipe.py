"""Everything that decides how a fine-tuning run goes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real

from helpers.profile import Profile


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a fine-tuning run goes.

    Raises:
        ValueError: a value that no run could use; the message names it and what is allowed.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    """Of the encoder, at the peak of the schedule: linear warm-up, then linear decay to zero."""
    head_learning_rate: float
    """Of the pooler and the classifier, at the peak."""
    autocast: bool
    """Compute the forward pass in bfloat16; weights and updates stay float32."""
    compile_from: int | None = None
    """Steps of training from which `torch.compile` repays itself (see `compiled`); None: never."""
    dropout: float | None = None
    """Share of activations set to zero at random while training; None leaves it to the model."""
    warmup_share: float = 0.06
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    """A longer gradient is shortened to this norm; infinity leaves all as they are."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            self._check(name, "a whole number from 1", _whole(getattr(self, name), 1))
        for name in ("learning_rate", "head_learning_rate"):
            self._check(name, "a finite number above 0", 0 < _number(getattr(self, name)) < math.inf)
        self._check("autocast", "True or False", isinstance(self.autocast, bool))
        compiles = self.compile_from is None or _whole(self.compile_from, 0)
        self._check("compile_from", "a whole number from 0, or None", compiles)
        drops = self.dropout is None or 0 <= _number(self.dropout) < 1
        self._check("dropout", "a share from 0 up to 1 (not 1 itself), or None", drops)
        self._check("warmup_share", "a share from 0 to 1", 0 <= _number(self.warmup_share) <= 1)
        self._check("weight_decay", "a finite number from 0", 0 <= _number(self.weight_decay) < math.inf)
        self._check("max_gradient_norm", "a number above 0", _number(self.max_gradient_norm) > 0)
        self._check("seed", "a whole number from 0 up to 2**63", _whole(self.seed, 0) and self.seed < 2**63)

    def _check(self, name: str, allowed: str, is_allowed: bool) -> None:
        if not is_allowed:
            raise ValueError(f"{name} must be {allowed}, not {getattr(self, name)!r}.")

    @classmethod
    def of(cls, profile: Profile) -> Recipe:
        """The recipe that a profile asks for."""
        return cls(
            epochs=profile.epochs,
            batch_size=profile.batch_size,
            learning_rate=profile.learning_rate,
            head_learning_rate=profile.head_learning_rate,
            autocast=profile.autocast,
            compile_from=profile.compile_from,
        )


def _whole(value: object, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= least  # type: ignore[operator]


def _number(value: object) -> float:
    """The value as a float; nan, which is in no range, for what is no number."""
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
