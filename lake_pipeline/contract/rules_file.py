"""The rules file: TOML, documented in docs/contract.md, and the same structure as JSON for remote workers.

All errors are detected here, before any data is read, and reported in one line that names the key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from lake_pipeline.contract.naming import name_problem
from lake_pipeline.contract.paths import Path, parse_path, show_path
from lake_pipeline.contract.rules import Decode, PathRule, Policy, Rules
from lake_pipeline.contract.shapes import Kind, Shape

_TYPES = {
    "bool": Kind.BOOL,
    "int": Kind.INT,
    "double": Kind.DOUBLE,
    "string": Kind.TEXT,
    "timestamp": Kind.TIMESTAMP,
    "date": Kind.DATE,
    "json": Kind.JSON,
}
FROM_TEXT = ("int", "double", "bool", "timestamp")
"""Types that take texts with the rule `from_text`; `decimal` takes them always."""

_DECIMAL = re.compile(r"decimal\(\s*(\d+)\s*,\s*(\d+)\s*\)")
_LIMITS = {"max_depth": (1, 64), "max_columns": (1, 10_000), "max_fields": (1, 10_000)}
"""The range of each limit. Parquet readers are not tested with shapes deeper than 64."""


def rules_from_toml(text: str) -> Rules:
    """The rules in a file. Raises ValueError with a message of one line."""
    try:
        return rules_from_json(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"it is not valid TOML: {error}") from error


def rules_from_json(data: Mapping[str, Any]) -> Rules:
    """The inverse of `rules_to_json`. Raises ValueError that names the wrong key and the reason."""
    _refuse_unknown(data, {"policy", "paths", *_LIMITS}, "")
    listed = data.get("paths", {})
    if not isinstance(listed, dict) or not all(isinstance(rule, dict) for rule in listed.values()):
        raise ValueError('paths: use a table for each path, for example [paths."user.name"]')
    rules = Rules(
        policy=_policy(data.get("policy", Policy.EVOLVE), "policy"),
        **{limit: _limit(data[limit], limit) for limit in _LIMITS if limit in data},
        paths={_path(text): _rule(rule, text) for text, rule in listed.items()},
    )
    _refuse_contradictions(rules)
    return rules


def rules_to_json(rules: Rules) -> dict[str, Any]:
    """A JSON object with the structure of the file."""
    return {
        "policy": rules.policy.value,
        **{limit: getattr(rules, limit) for limit in _LIMITS},
        "paths": {show_path(path): _rule_to_json(rule) for path, rule in rules.paths.items()},
    }


def _refuse_contradictions(rules: Rules) -> None:
    for path in rules.paths:
        for size in range(1, len(path)):
            outer = rules.paths.get(path[:size])
            if outer is not None and outer.is_whole:
                raise ValueError(f"{_shown(path)} is inside {_shown(path[:size])}, which is handled as one value")
    paths: dict[str, Path] = {}
    for path, name in rules.renamed.items():
        if name in paths:
            raise ValueError(f"{_shown(path)}: {_shown(paths[name])} is renamed to {name!r} too")
        paths[name] = path


def _path(text: str) -> Path:
    try:
        return parse_path(text)
    except ValueError as error:
        raise ValueError(f"paths: {error}") from error


def _rule(data: Mapping[str, Any], text: str) -> PathRule:
    key_path = f"paths.{text!r}"
    _refuse_unknown(data, {"policy", "type", "rename", "exclude", "keep", "decode", "from_text"}, key_path)
    if not data:
        raise ValueError(f"{key_path} is empty")
    for key in ("exclude", "keep", "rename", "type", "decode", "from_text"):
        is_flag = key in ("exclude", "from_text")
        if not isinstance(data.get(key, ""), bool if is_flag and key in data else str):
            expected = "true or false" if is_flag else "a string"
            raise ValueError(f"{key_path}.{key}: {data[key]!r} is not {expected}")
    if data.get("exclude") and len(data) > 1:
        raise ValueError(f"{key_path} is excluded, so no other rule can apply to it")
    if "keep" in data and ("type" in data or data["keep"] != "json"):
        raise ValueError(f'{key_path}.keep: use keep = "json", without a type')
    if "rename" in data and (problem := name_problem(data["rename"])):
        raise ValueError(f"{key_path}.rename: {problem}")
    _refuse_decoding(data, key_path)
    pinned = data.get("type", data.get("keep"))
    return PathRule(
        policy=_policy(data["policy"], f"{key_path}.policy") if "policy" in data else None,
        pin=_pin(pinned, f"{key_path}.type") if pinned is not None else None,
        rename=data.get("rename"),
        exclude=data.get("exclude", False),
        decode=Decode(data["decode"]) if "decode" in data else None,
        from_text=data.get("from_text", False),
    )


def _refuse_decoding(data: Mapping[str, Any], key_path: str) -> None:
    if "decode" in data and data["decode"] not in tuple(Decode):
        raise ValueError(f"{key_path}.decode: {data['decode']!r} is unknown; use one of {', '.join(Decode)}")
    if "decode" in data and {"type", "keep"} & data.keys():
        raise ValueError(f"{key_path} is decoded to columns, so it has no type; give types to the paths inside")
    if data.get("from_text") and data.get("type") not in FROM_TEXT:
        raise ValueError(f"{key_path}.from_text needs a type of {', '.join(FROM_TEXT)}")


def _rule_to_json(rule: PathRule) -> dict[str, Any]:
    written = {
        "policy": rule.policy.value if rule.policy is not None else None,
        "type": _type_name(rule.pin) if rule.pin is not None else None,
        "rename": rule.rename,
        "exclude": rule.exclude or None,
        "decode": rule.decode.value if rule.decode is not None else None,
        "from_text": rule.from_text or None,
    }
    return {key: value for key, value in written.items() if value is not None}


def _type_name(pin: Shape) -> str:
    names = {kind: name for name, kind in _TYPES.items()}
    return str(names.get(pin.kind, pin.to_json()))


def _pin(text: str, key_path: str) -> Shape:
    if decimal := _DECIMAL.fullmatch(text):
        precision, scale = int(decimal[1]), int(decimal[2])
        if not 1 <= precision <= 38 or scale > precision:
            raise ValueError(f"{key_path}: a decimal has 1 to 38 digits, and its scale is not larger")
        return Shape(Kind.DECIMAL, digits=(precision, scale))
    if text not in _TYPES:
        raise ValueError(f"{key_path}: {text!r} is not a type; use one of {', '.join(_TYPES)}, decimal(18,2)")
    return Shape(_TYPES[text])


def _policy(value: object, key_path: str) -> Policy:
    if not isinstance(value, str) or value not in tuple(Policy):
        raise ValueError(f"{key_path}: {value!r} is not a policy; use one of {', '.join(Policy)}")
    return Policy(value)


def _limit(value: object, name: str) -> int:
    low, high = _LIMITS[name]
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name}: {value!r} is not an integer from {low} to {high}")
    return value


def _refuse_unknown(data: Mapping[str, Any], allowed: set[str], key_path: str) -> None:
    for key, value in data.items():
        if key not in allowed:
            name = f"{key_path}.{key}" if key_path else key
            is_nested = key_path and isinstance(value, dict)
            hint = "; for a nested field put quotes around the whole path" if is_nested else ""
            raise ValueError(f"{name} is unknown; use one of {', '.join(sorted(allowed))}{hint}")


def _shown(path: Path) -> str:
    return f"paths.{show_path(path)!r}"
