"""The recipes that are there: the SDK's own, and those in vendors' folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from connectors.sdk.webhooks.recipe import Recipe

_OWN = Path(__file__).with_name("standard.yaml")
_VENDORS = Path(__file__).parents[2]


class RecipeError(ValueError):
    """A recipe cannot be used. The message names the file and each field."""


def load_recipe(path: Path) -> Recipe:
    """The recipe in the YAML file at `path`. Raises RecipeError for what is no recipe, OSError for no file."""
    try:
        return Recipe.model_validate(YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8")))
    except YAMLError as error:
        raise RecipeError(f"{path}: this is no YAML: {str(error).partition(chr(10))[0]}") from None
    except ValidationError as error:
        fields = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'the recipe'}: {item['msg']}" for item in error.errors()
        )
        raise RecipeError(f"{path}: {fields}") from None


def load_recipes(paths: Iterable[Path]) -> dict[str, Recipe]:
    """The recipes in `paths` by name. Raises RecipeError, also when two have one name."""
    recipes: dict[str, Recipe] = {}
    for path in paths:
        recipe = load_recipe(path)
        if recipe.name in recipes:
            raise RecipeError(f"{path}: there is another recipe called {recipe.name!r}")
        recipes[recipe.name] = recipe
    return recipes


@cache
def bundled_recipes() -> Mapping[str, Recipe]:
    """The SDK's own recipe and those of the vendors that come with Masthead, by name."""
    return load_recipes([_OWN, *sorted(_VENDORS.glob("*/webhook.yaml"))])
