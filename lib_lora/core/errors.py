"""Errors that speak to the user: what is wrong, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lib_lora.core.messages import ENGLISH, Message


class LoraError(Exception):
    """Base of all errors raised on purpose. Holds one or more Messages; `exit_code` and `http` are for the boundary."""

    exit_code = 4
    http = 500

    def __init__(self, *messages: Message) -> None:
        self.messages: tuple[Message, ...] = messages
        super().__init__(self.text())

    @classmethod
    def of(cls, messages: Iterable[Message]) -> LoraError:
        """One error out of everything that was found wrong, so that a user mends all of it in one go."""
        return cls(*messages)

    def text(self, words: Mapping[str, str] = ENGLISH) -> str:
        """All messages in one language, a line each."""
        return "\n".join(message.text(words) for message in self.messages)

    def __str__(self) -> str:
        return self.text()


class ConfigError(LoraError):
    """A setting is unknown, out of range or contradicts another. Change the setting that is named."""

    exit_code = 2
    http = 400


class DataError(LoraError):
    """Pictures or captions cannot be used. Mend or remove the files that are named."""

    exit_code = 3
    http = 400


class PathError(LoraError):
    """A path lies outside the folders that this server has opened."""

    exit_code = 2
    http = 403


class HostError(LoraError):
    """The model or the program that lends it cannot do what is asked."""

    exit_code = 4
    http = 400


class MissingDependency(HostError):
    """An optional package is not installed; the message names it and how to get it."""


class NotFound(LoraError):
    """There is no job of that id."""

    exit_code = 2
    http = 404


class BusyError(LoraError):
    """Something else is being done on this device and has to end first."""

    exit_code = 4
    http = 409
