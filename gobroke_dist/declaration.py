"""Whether a logic is declared in a way that can work."""

from __future__ import annotations

import re
from typing import get_args

from pydantic import BaseModel

from gobroke_dist.errors import LogicInvalid
from gobroke_dist.logic import LogicBase, LogicType, OnFull, OnPoison, logic_name

# Dramatiq's rule for queue and actor names, less what its own suffixes and separators would make ambiguous.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def check(logic: LogicBase) -> None:
    """Raises ``LogicInvalid`` with the first thing that is wrong, and what to do about it."""
    name = logic_name(logic)
    if not isinstance(logic, LogicBase):
        raise LogicInvalid(str(name), f"{logic!r} is not a logic; derive it from LogicBase")
    for wrong, text in _complaints(logic, name):
        if wrong:
            raise LogicInvalid(name, f"logic {name!r}: {text}")


def _complaints(logic: LogicBase, name: str) -> list[tuple[bool, str]]:
    handler = "run_tick" if logic.logic_type is LogicType.PASSIVE else "run_logic"
    missing = getattr(type(logic), handler) is getattr(LogicBase, handler)
    scheduled = (logic.every is not None) + (logic.cron is not None)
    return [
        (not _NAME.fullmatch(name), "the name may hold letters, digits, _ and -, and can't begin with a digit or -"),
        (not isinstance(logic.logic_type, LogicType), f"logic_type is {logic.logic_type!r}; use a LogicType"),
        (missing, f"a {logic.logic_type} logic needs {handler}()"),
        (logic.concurrency < 1, "concurrency must be at least 1"),
        (logic.max_attempts < 1, "max_attempts must be at least 1"),
        (logic.on_poison not in get_args(OnPoison), f"on_poison must be one of {_choices(OnPoison)}"),
        (_halts_no_key(logic), 'on_poison="halt_key" needs an ordering key: set order_by, or use "halt_logic"'),
        (logic.max_waiting is not None and logic.max_waiting < 1, "max_waiting must be at least 1, or None"),
        (logic.on_full not in get_args(OnFull), f"on_full must be one of {_choices(OnFull)}"),
        (not _is_order(logic.order_by), 'order_by must be "logic", "client", a function of the message, or None'),
        (not _is_model(logic.payload), "payload must be a pydantic model class"),
        (logic.logic_type is LogicType.PASSIVE and scheduled != 1, "a PASSIVE logic needs one of every= and cron="),
        (logic.logic_type is LogicType.PASSIVE and logic.watches_groups, "a PASSIVE logic gets no messages of groups"),
        (logic.logic_type is not LogicType.PASSIVE and scheduled > 0, "only a PASSIVE logic has a schedule"),
    ]


def _halts_no_key(logic: LogicBase) -> bool:
    return logic.on_poison == "halt_key" and logic.logic_type is LogicType.WORKER and logic.order_by is None


def _choices(literal: object) -> str:
    return ", ".join(f'"{choice}"' for choice in get_args(literal))


def _is_order(value: object) -> bool:
    return value is None or value in ("logic", "client") or callable(value)


def _is_model(value: object) -> bool:
    return value is None or (isinstance(value, type) and issubclass(value, BaseModel))
