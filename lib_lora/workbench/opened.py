"""A folder that is open on the dataset page: its catalogue, its pixels, its decisions, and who edits it."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from lib_lora.core.messages import say
from lib_lora.workbench import flags as marks_of
from lib_lora.workbench import kin as kinship
from lib_lora.workbench import prepared
from lib_lora.workbench.flags import Flag
from lib_lora.workbench.kin import Kin
from lib_lora.workbench.marks import Marks
from lib_lora.workbench.patience import Patience
from lib_lora.workbench.prepared import Prepared
from lib_lora.workbench.trash import Moved, Trash

if TYPE_CHECKING:
    from lib_lora.editor.filters import Facts
    from lib_lora.editor.session import Session
    from lib_lora.pictures.analyst import Analyst
    from lib_lora.pictures.classes import Judged
    from lib_lora.pictures.picture import Catalog, Picture
    from lib_lora.pictures.places import Preview

SESSIONS = 20
HELD = 12  # of what is made of all pictures, some of it for each resolution
T = TypeVar("T")
CLASS, GROUP = "class", "group"  # sections of the marks
RESOLUTION = 512
UNKNOWN = "none"  # what filters call the class of a picture that has none


def set_id(root: Path) -> str:
    """What a folder is called in addresses: the same after a restart, and in whatever way its path is spelt."""
    return hashlib.sha256(os.path.normcase(root.resolve()).encode("utf-8", "surrogatepass")).hexdigest()[:12]


class Opened:
    """One folder. `state` is a folder of ours for what is remembered about it. Snapshots are swapped, never changed.

    `resolution` is what the loaded model was made for; each browser may look at crops for another one.
    """

    def __init__(self, root: Path, state: Path, roots: Sequence[Path] | None = None) -> None:
        from lib_lora.pictures.analyst import Analyst

        self.root = root
        self.roots = roots
        self.id = set_id(root)
        self.state = state / "sets" / self.id
        self.thumbs = state / "pictures" / "thumbs"
        self.trash = Trash(state / "trash" / "pictures" / self.id, root)
        self.marks = Marks(self.state / "marks.json")
        self.resolution = RESOLUTION
        self.analyst: Analyst = Analyst(state / "pictures")
        self.catalog: Catalog
        self.pictures: Mapping[str, Picture] = {}
        self.prepared = Prepared()
        self._places: dict[tuple[tuple[int, int], int], Preview | None] = {}
        self._sessions: dict[str, Session] = {}
        self._sides: WeakKeyDictionary[Session, int] = WeakKeyDictionary()
        self._lock = threading.Lock()
        self._kin: tuple[tuple[int, int, int] | None, Kin] = (None, Kin())
        self._kin_lock = threading.Lock()
        self._reads = self._decisions = self._visible = 0
        self._held: dict[str, tuple[object, Any]] = {}
        self._lint: dict[str, tuple[Picture, list[Flag]]] = {}
        self._edited: dict[str, tuple[Picture, list[Flag]]] = {}
        self.refresh()

    def refresh(self) -> Catalog:
        """Read the folder anew; edits that are not saved stay in their sessions."""
        from lib_lora.pictures import catalog

        return self.take(catalog.read(self.root, self.roots, Patience(self.root)))

    def take(self, catalog: Catalog) -> Catalog:
        """Go on with another catalogue of this folder."""
        from lib_lora.pictures import headers

        with self._lock:
            self.catalog = catalog
            self.pictures = catalog.by_key()
            self.prepared = prepared.of(catalog)
            self._visible = sum(one.flaw is None and not headers.is_large(one.size) for one in catalog.pictures)
            self._reads += 1
            for session in self._sessions.values():
                session.follow(catalog)
        self.analyst.start(catalog)
        return catalog

    def unsaved(self) -> int:
        """How many captions of all browsers are not saved."""
        with self._lock:
            return sum(session.unsaved() for session in self._sessions.values())

    def close(self, wait: bool = False) -> None:
        """Nobody looks at it any more: edits go to the disk as drafts, and the looking into pixels ends."""
        with self._lock:
            sessions = list(self._sessions.values())
        for session in sessions:
            session.close()
        if wait:
            self.analyst.stop()
        else:
            threading.Thread(target=self.analyst.stop, name="lora-studio-close", daemon=True).start()

    @property
    def version(self) -> str:
        """Another one whenever a page should ask for its rows again."""
        return f"{self._reads}-{self._decisions}-{self.analyst.progress()[0]}-{int(self._kin[0] == self._moment())}"

    @property
    def settled(self) -> bool:
        """Whether the pixels were looked at and it is known what belongs together."""
        done, total = self.analyst.progress()
        return done >= total and self._kin[0] == self._moment()

    def session(self, client: str) -> Session:
        """What one browser edits; another browser has another."""
        from lib_lora.editor.session import Session

        with self._lock:
            if client not in self._sessions:
                idle = [name for name, session in self._sessions.items() if not session.unsaved()]
                for name in idle[: max(0, len(self._sessions) - SESSIONS + 1)]:
                    del self._sessions[name]
                self._sessions[client] = Session(self.catalog, self.state, client)
            return self._sessions[client]

    def show(self, session: Session, side: int) -> None:
        """A browser looks at crops for this resolution; 0 for the model's own."""
        self._sides[session] = side

    def side(self, session: Session | None) -> int:
        """The resolution that a browser looks at."""
        return (self._sides.get(session, 0) if session is not None else 0) or self.resolution

    def scores(self, key: str) -> Mapping[str, float]:
        """What a tagger said of a picture (tag → probability), from the cache; empty where none was asked."""
        from lib_lora.tagging import cache

        return cache.scores(self.state, self.pictures.get(key))

    def throw_away(self, keys: Sequence[str]) -> Moved:
        """Pictures into our trash, with their captions."""
        gone = set(keys)
        moved = self.trash.take([self.pictures[key] for key in keys], [one for key, one in self.pictures.items() if key not in gone])
        gone = set(moved.keys)
        left = tuple(one for one in self.catalog.pictures if one.key not in gone)
        counts = Counter(one.folder for one in left)
        shelves = tuple(replace(shelf, count=counts[shelf.key]) for shelf in self.catalog.shelves if counts[shelf.key])
        # Without its lock: a comparison under way may take long, and what it finds of before is not taken for now.
        known, kin = self._kin[0] == self._moment(), self._kin[1].without(gone)
        self.take(replace(self.catalog, pictures=left, shelves=shelves))
        self._kin = (self._moment() if known else None, kin)
        return moved

    def decide(self, section: str, decisions: Mapping[str, str | None]) -> Mapping[str, str | None]:
        """Keep what a user decided; None takes a decision back. Returns what stood there, for the undo."""
        before = self.marks.change(section, decisions)
        self._decisions += 1
        return before

    def kind(self, key: str, text: str | None = None) -> Judged:
        """The class of a picture: as it was decided, else that of its folder, else from its caption and what a tagger said of it.

        `text` is the caption in place of that on the disk.
        """
        from lib_lora.dataset import captions
        from lib_lora.pictures.classes import Judged, joined, judge

        by_hand = self.marks.section(CLASS).get(key)
        if by_hand is not None:
            return Judged(by_hand, 1.0, say("You chose this class."))
        picture = self.pictures.get(key)
        by_folder = self.prepared.judged(picture) if picture else None
        if by_folder is not None:
            return by_folder
        caption = text if text is not None else picture.caption if picture else ""
        return judge(joined(captions.tags(caption), self.scores(key)), self.analyst.face_ratio(key))

    def kin(self, wait: bool = True) -> Kin:
        """What belongs together, among the pictures that were looked at so far. Without `wait`: as far as it is known."""
        moment = self._moment()
        if self._kin[0] == moment:
            return self._kin[1]
        if not wait:
            if moment[1] + moment[2] >= self._visible and self._kin_lock.acquire(blocking=False):
                self._kin_lock.release()
                threading.Thread(target=self.kin, name="lora-studio-kin", daemon=True).start()
            return self._kin[1]
        with self._kin_lock:
            if self._kin[0] != moment:
                # What Prepare copied is alike on purpose.
                seen, copies = self.analyst.seen(), self.prepared.copies
                self._kin = (moment, kinship.find({key: seen[key] for key in self.pictures if key in seen and key not in copies}))
            return self._kin[1]

    def groups(self, wait: bool = True) -> dict[str, tuple[str, ...]]:
        """The differential groups by name, as found and as decided."""
        return kinship.decided(self.kin(wait).groups, self.marks.section(GROUP), self.pictures)

    def place(self, key: str, resolution: int | None = None) -> Preview | None:
        """Where training would cut a picture; None where it cannot be trained."""
        from lib_lora.core.errors import LoraError
        from lib_lora.dataset.config import BucketConfig
        from lib_lora.pictures import places

        picture = self.pictures.get(key)
        asked = (picture.size if picture is not None else (0, 0), resolution or self.resolution)
        if asked not in self._places:
            try:
                self._places[asked] = places.preview(asked[0], asked[1], BucketConfig()) if all(asked[0]) else None
            except LoraError:
                self._places[asked] = None
        return self._places[asked]

    def flags(self, wait: bool = False, session: Session | None = None) -> Mapping[str, tuple[Flag, ...]]:
        """What should be known of each picture; with a browser's session of its captions as they are edited, for the resolution it looks at."""
        if wait:
            self.kin()
        found = self._shown(self.side(session))
        if session is None or not session.unsaved():
            return found
        return {**found, **{key: self._with_text(key, flags, session.text(key)) for key, flags in found.items() if session.changed(key)}}

    def _with_text(self, key: str, flags: tuple[Flag, ...], text: str) -> tuple[Flag, ...]:
        """A picture's flags if this were its caption."""
        from lib_lora.pictures import lint

        picture = self.pictures.get(key)
        if picture is None:
            return flags
        edited = replace(picture, text="\n".join([text, *(picture.text or "").splitlines()[1:]]))
        known = self._edited.get(key)
        if known is None or known[0] != edited:
            of_text = [one for one in marks_of.of_file(edited, lint.findings(edited)) if one.kind in marks_of.OF_CAPTION]
            known = self._edited[key] = (edited, of_text)
        return marks_of.ordered([*(one for one in flags if one.kind not in marks_of.OF_CAPTION), *known[1]])

    def _shown(self, side: int) -> Mapping[str, tuple[Flag, ...]]:
        return self._once(f"flags {side}", self._of_flags(), lambda: self._flags(self.kin(wait=False), self.groups(wait=False), side))

    def _flags(self, kin: Kin, groups: Mapping[str, Sequence[str]], side: int) -> dict[str, tuple[Flag, ...]]:
        seen, flaws = self.analyst.seen(), self.analyst.flaws()
        member = {key: group for group in groups.values() for key in group}
        return {
            key: marks_of.ordered(
                [
                    *self._of_file(picture),
                    *marks_of.of_place(self.place(key, side)),
                    *(one for one in marks_of.of_pixels(seen.get(key), flaws.get(key)) if one.kind != "bars" or key not in self.prepared.padded),
                    *marks_of.of_kin(key, kin, member.get(key, ())),
                ]
            )
            for key, picture in self.pictures.items()
        }

    def kinds(self, session: Session | None = None) -> Mapping[str, Judged]:
        """The classes of all pictures; with a browser's session by its captions as they are edited."""
        found = self._once("kinds", self._of_kinds(), lambda: {key: self.kind(key) for key in self.pictures})
        if session is None or not session.unsaved():
            return found
        return {**found, **{key: self.kind(key, session.text(key)) for key in found if session.changed(key)}}

    def facts(self, wait: bool = False, session: Session | None = None) -> Mapping[str, Facts]:
        """What filters go by, of each picture; with a browser's session as `kinds`."""
        from lib_lora.editor.filters import Facts

        if wait:
            self.kin()

        def made() -> dict[str, Facts]:
            flags, kinds = self._shown(self.side(session)), self.kinds()
            known = {key: frozenset(flag.kind for flag in found) for key, found in flags.items()}
            there = {key: picture for key, picture in self.pictures.items() if key in kinds and key in known}
            return {key: Facts(picture.folder, kinds[key].kind or UNKNOWN, known[key]) for key, picture in there.items()}

        found = self._once(f"facts {self.side(session)}", (self._of_flags(), self._of_kinds()), made)
        if session is None or not session.unsaved():
            return found
        flags, kinds = self.flags(session=session), self.kinds(session)
        edited = [key for key in found if session.changed(key) and key in flags and key in kinds]
        now = {key: frozenset(flag.kind for flag in flags[key]) for key in edited}
        return {**found, **{key: replace(found[key], kind=kinds[key].kind or UNKNOWN, flags=now[key]) for key in edited}}

    def _once(self, name: str, moment: object, make: Callable[[], T]) -> T:
        """What was made at this moment already, or made now: thousands of pictures are asked for at every look.

        `moment` was read before: what changes while it is made is made again the next time.
        """
        held = self._held.get(name)
        if held is None or held[0] != moment:
            held = (moment, make())
            # The one made longest ago goes.
            self._held = {**dict([one for one in self._held.items() if one[0] != name][-(HELD - 1) :]), name: held}
        return held[1]

    def _of_kinds(self) -> object:
        """What classes are made from."""
        from lib_lora.tagging import cache

        return self._reads, self.marks.section(CLASS), cache.version(self.state), self.analyst.progress()

    def _of_flags(self) -> object:
        """What flags are made from."""
        return self._moment(), self._kin[0], self.marks.section(GROUP)

    def _of_file(self, picture: Picture) -> list[Flag]:
        from lib_lora.pictures import lint

        known = self._lint.get(picture.key)
        if known is None or known[0] != picture:
            known = self._lint[picture.key] = (picture, marks_of.of_file(picture, lint.findings(picture)))
        return known[1]

    def _moment(self) -> tuple[int, int, int]:
        """What the kin of now were found from: which reading of the folder, how many pictures were seen, how many could not be."""
        return self._reads, len(self.analyst.seen()), len(self.analyst.flaws())
