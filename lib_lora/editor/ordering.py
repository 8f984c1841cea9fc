"""Operations on the order and the length of captions: sort, truncate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lib_lora.core.messages import Message, count, say
from lib_lora.editor import parts
from lib_lora.editor.tokens import CHUNK, estimate

Numbers = Callable[[Sequence[str]], list[int]]


def estimates(texts: Sequence[str]) -> list[int]:
    """About how many tokens each text takes."""
    return [estimate(text) for text in texts]


@dataclass(frozen=True)
class Sort:
    """Order the tags of each caption. The first `keep` stay where they are: the trigger has to stay in front."""

    by: Literal["alphabet", "frequency", "length", "tokens"] = "alphabet"
    descending: bool = False
    keep: int = 0
    tokens: Numbers = field(default=estimates, compare=False, repr=False)

    def run(self, texts: Sequence[str], counts: Mapping[str, int]) -> list[str]:
        """In order; tags that are equal in it stay in theirs."""
        split = [parts.split(text) for text in texts]
        key = self._key(split, counts)
        found = []
        for text, old in zip(texts, split, strict=True):
            rest = sorted(old[self.keep :], key=key, reverse=self.descending)
            found.append(parts.joined(text, old, [*old[: self.keep], *rest]))
        return found

    def _key(self, split: Sequence[Sequence[str]], counts: Mapping[str, int]) -> Callable[[str], object]:
        if self.by == "alphabet":
            return lambda tag: (tag.casefold(), tag)
        if self.by == "frequency":
            return lambda tag: counts.get(tag, 0)
        if self.by == "length":
            return len
        different = list(dict.fromkeys(tag for old in split for tag in old))
        known = dict(zip(different, self.tokens(different), strict=True))
        return known.__getitem__

    def said(self) -> Message:
        """For the list of what can be undone."""
        return {
            "alphabet": say("Tags sorted by alphabet"),
            "frequency": say("Tags sorted by how many pictures have them"),
            "length": say("Tags sorted by length"),
            "tokens": say("Tags sorted by tokens"),
        }[self.by]


@dataclass(frozen=True)
class Truncate:
    """Leave out tags from the end until a caption has at most `most` tokens; with `whole` the last words of a sentence."""

    most: int = CHUNK
    whole: bool = False
    tokens: Numbers = field(default=estimates, compare=False, repr=False)

    def run(self, texts: Sequence[str], counts: Mapping[str, int]) -> list[str]:
        """At most that long. What is short enough stays letter for letter."""
        del counts
        found = list(texts)
        total = self.tokens(found)
        long = [i for i, n in enumerate(total) if n > self.most]
        pieces = {i: found[i].split() if self.whole else parts.split(found[i]) for i in long}
        while long:
            self._shorten(pieces, long, total)
            for i in long:
                found[i] = (" " if self.whole else ", ").join(pieces[i])
            for i, n in zip(long, self.tokens([found[i] for i in long]), strict=True):
                total[i] = n
            long = [i for i in long if total[i] > self.most and pieces[i]]
        return found

    def _shorten(self, pieces: dict[int, list[str]], long: Sequence[int], total: Sequence[int]) -> None:
        """Take off as many as are sure to be too much, at least one each; what is left is counted anew."""
        ends = list(dict.fromkeys(piece for i in long for piece in pieces[i]))
        known = dict(zip(ends, self.tokens(ends), strict=True))
        for i in long:
            over = total[i] - self.most
            while pieces[i] and over > 0:
                over -= known[pieces[i].pop()] + (not self.whole)

    def said(self) -> Message:
        """For the list of what can be undone."""
        return count(self.most, "Captions cut to 1 token", "Captions cut to {n} tokens")
