"""Search and replace: a tag, words, or a pattern with back-references; in chosen tags, in each tag, in the whole caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import Message, say
from lib_lora.editor import parts, patterns


@dataclass(frozen=True)
class Replace:
    """Put `replacement` for `find`. mode: tag (a whole tag), text (anywhere), regex. An empty replacement erases.

    `within` is selected (only the tags in `tags`), each (every tag) or caption (across commas). A comma in what comes out
    makes two tags. `whole` keeps a sentence's commas: the caption is one piece then.
    """

    find: str
    replacement: str = ""
    mode: Literal["tag", "text", "regex"] = "tag"
    within: Literal["selected", "each", "caption"] = "each"
    tags: tuple[str, ...] = ()
    ignore_case: bool = False
    whole: bool = False

    def run(self, texts: Sequence[str], counts: Mapping[str, int]) -> list[str]:
        """With everything replaced."""
        del counts
        if not self.find:
            raise ConfigError(say("Say what to look for."))
        if self.mode != "tag" and (self.within == "caption" or self.whole):
            return [text if new == text else self._tidied(new) for text, new in zip(texts, self._replaced(texts), strict=True)]
        return self._in_tags(texts)

    def _in_tags(self, texts: Sequence[str]) -> list[str]:
        split = [parts.split(text, self.whole) for text in texts]
        chosen = {part for tag in self.tags for part in parts.split(tag, self.whole)} if self.within == "selected" else None
        tags = [tag for tag in dict.fromkeys(tag for old in split for tag in old) if chosen is None or tag in chosen]
        new = {tag: parts.split(replaced, self.whole) for tag, replaced in zip(tags, self._replaced(tags), strict=True) if replaced != tag}
        if not new:
            return list(texts)
        # What became a tag that is there already stands once; repeats that were there before are none of ours.
        return [parts.joined(text, old, _with(old, new)) for text, old in zip(texts, split, strict=True)]

    def _replaced(self, texts: Sequence[str]) -> list[str]:
        if self.mode == "regex":
            return patterns.substitute(self.find, self.replacement, texts, self.ignore_case)
        if self.mode == "tag":
            find = self.find.strip()
            same = (lambda text: text.casefold() == find.casefold()) if self.ignore_case else (lambda text: text == find)
            return [self.replacement.strip() if same(text) else text for text in texts]
        if self.ignore_case:
            import re

            pattern = re.compile(re.escape(self.find), re.IGNORECASE)
            return [pattern.sub(lambda _: self.replacement, text) for text in texts]
        return [text.replace(self.find, self.replacement) for text in texts]

    def _tidied(self, text: str) -> str:
        return " ".join(text.split()) if self.whole else ", ".join(parts.split(" ".join(text.split())))

    def said(self) -> Message:
        """For the list of what can be undone."""
        return say("Replaced: {find} → {replacement}", find=self.find[:60], replacement=self.replacement[:60])


def _with(old: Sequence[str], new: Mapping[str, Sequence[str]]) -> list[str]:
    if not any(part in new for part in old):
        return list(old)
    kept = {part.casefold() for part in old if part not in new}
    found: list[str] = []
    for part in old:
        if part not in new:
            found.append(part)
            continue
        for one in new[part]:
            if one.casefold() not in kept:
                kept.add(one.casefold())
                found.append(one)
    return found
