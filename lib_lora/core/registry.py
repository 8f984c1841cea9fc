"""Registries of cards: one file in a folder adds a network, an optimizer, a scheduler or a host."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import say

Build = TypeVar("Build", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry(Generic[Build]):
    """A card: its name in job files, its label, the dataclass of its options, and what builds it."""

    kind: str
    label: str
    options: type
    build: Build
    traits: MappingProxyType[str, Any] = field(default_factory=lambda: MappingProxyType({}))


class Registry(Generic[Build]):
    """The cards of one folder (`package`), imported the first time somebody asks.

    A card whose import fails takes no other down: it is listed in `unavailable` with the reason.
    """

    def __init__(self, name: str, package: str) -> None:
        self.name = name
        self.package = package
        self.unavailable: dict[str, str] = {}
        self._entries: dict[str, Entry[Build]] = {}
        self._loaded = False

    def add(self, kind: str, label: str, options: type, **traits: Any) -> Callable[[Build], Build]:
        """Decorator of a card's build function."""
        if not kind.isidentifier() or not kind.islower():
            raise ValueError(f"{self.name}: a kind is a lower-case identifier, got {kind!r}")
        if kind in self._entries:
            raise ValueError(f"{self.name}: {kind!r} is there already, choose another name")

        def register(build: Build) -> Build:
            self._entries[kind] = Entry(kind, label, options, build, MappingProxyType(traits))
            return build

        return register

    def entries(self) -> dict[str, Entry[Build]]:
        """All cards by kind, in the order of their names."""
        self._load()
        return dict(sorted(self._entries.items()))

    def get(self, kind: str) -> Entry[Build]:
        """The card of that kind, or a ConfigError that names those there are."""
        self._load()
        if kind not in self._entries:
            known = sorted(self._entries)
            raise ConfigError(say("{kind}: no such {registry}; there are {known}", kind=kind, registry=self.name, known=known))
        return self._entries[kind]

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self.package)
        for found in pkgutil.iter_modules(package.__path__):
            try:
                importlib.import_module(f"{self.package}.{found.name}")
            except ImportError as error:
                self.unavailable[found.name] = str(error)
