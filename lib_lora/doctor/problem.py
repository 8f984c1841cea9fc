"""A problem: where, what, how bad, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass

from lib_lora.core.messages import Message, say

SEVERITIES = ("error", "warning", "hint")


@dataclass(frozen=True)
class Remedy:
    """What a kind of problem is called, what to do about it, and which click does it ("" where none can).

    `act` is an id that `fixes.apply` knows, or a place of the page that it leads to: "show", "tagging", "captions", "prepare".
    """

    label: Message
    fix: Message
    act: str = "show"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `file` is a picture's key, another path from the root, or "" for the folder as a whole."""

    kind: str
    severity: str
    file: str
    what: Message

    @property
    def remedy(self) -> Remedy:
        """What mends it."""
        return REMEDIES[self.kind]


def ordered(problems: list[Problem]) -> tuple[Problem, ...]:
    """Errors first, then by kind in the table's order, then by file."""
    kinds = list(REMEDIES)
    # A folder that is reached in two ways is told once.
    different = {(one.kind, one.file): one for one in reversed(problems)}
    return tuple(sorted(different.values(), key=lambda one: (SEVERITIES.index(one.severity), kinds.index(one.kind), one.file)))


REMEDIES = {
    "layout": Remedy(
        say("Folders"), say("Put the pictures into a folder named N_concept (N = repeats), such as 10_cat; Prepare makes a copy laid out like this."), "prepare"
    ),
    "empty_folder": Remedy(say("Empty folders"), say("Add pictures to this folder, or remove it."), ""),
    "closed": Remedy(say("Folders"), say("Allow this program to read the folder, or move it away."), ""),
    "bad_name": Remedy(say("Names"), say("Rename the file."), ""),
    "left_out": Remedy(
        say("Folders that training leaves out"),
        say("Prepare makes a copy in which all of them lie in N_concept folders; or rename the folders so. All of them were looked at here."),
        "prepare",
    ),
    "folder_name": Remedy(say("Folder names"), say("Rename it to N_concept, such as 10_cat, or leave it if these pictures are not meant to be trained."), ""),
    "inner_folder": Remedy(say("Folder names"), say("Give the folder above this one: only there the number of repeats in the name counts."), ""),
    "both_layouts": Remedy(say("Folders"), say("Move the pictures that lie loose into an N_concept folder, so that each has the repeats you mean."), ""),
    "deep_folder": Remedy(say("Folders"), say("Move these pictures one folder up; training does not look into folders inside of N_concept folders."), ""),
    "unreadable": Remedy(say("Damaged pictures"), say("Replace the file, or take it out of the folder."), "trash"),
    "text_unreadable": Remedy(say("Caption files of another encoding"), say("Write the caption as UTF-8; the file as it was is kept."), "utf8"),
    "no_caption": Remedy(say("No caption"), say("Tag the picture, or write what it shows."), "tagging"),
    "empty_caption": Remedy(say("Empty captions"), say("Tag the picture, or write what it shows."), "tagging"),
    "misnamed_caption": Remedy(say("Captions under another name"), say("Rename the caption file to the picture's name with the ending .txt."), "rename"),
    "first_line": Remedy(say("Empty first lines"), say("Remove the empty lines before the caption; the file as it was is kept."), "first_line"),
    "same_stem": Remedy(say("Shared caption files"), say("Rename one of the two pictures, so that each has a caption of its own."), ""),
    "mask": Remedy(say("Masks"), say("Move the mask out of the folder: training would take it for a picture."), "trash"),
    "too_small": Remedy(say("Too small"), say("Enlarge the picture (Prepare does it with an upscaler), or take it out."), "prepare"),
    "reg_same": Remedy(say("Regularisation set"), say("Choose another folder: it must not be, or lie in, the folder that is trained."), ""),
    "reg_layout": Remedy(say("Regularisation set"), say("Lay it out as the training set: a folder above one or more N_concept folders."), ""),
    "reg_shared": Remedy(say("Regularisation set"), say("Take this picture out of the regularisation set."), ""),
    "reg_alike": Remedy(say("Regularisation set"), say("Look at both: if it is the same picture, take it out of the regularisation set."), ""),
    "reg_leak": Remedy(say("Regularisation set"), say("Remove the trigger word from this caption of the regularisation set."), ""),
    "reg_flaw": Remedy(say("Regularisation set"), say("Mend or remove this file of the regularisation set."), ""),
    "animated": Remedy(say("Animated pictures"), say("Save the frame that you want as a PNG file.")),
    "lines": Remedy(say("Captions of several lines"), say("Bring the lines into one, parted by commas; the file as it was is kept."), "join"),
    "trigger_only": Remedy(say("Only the trigger word"), say("Tag the picture, or write what it shows."), "tagging"),
    "trigger_missing": Remedy(say("Trigger word"), say("Put the trigger word first."), "trigger"),
    "trigger_cut": Remedy(say("Trigger word"), say("Put the trigger word first."), "trigger"),
    "trigger_late": Remedy(say("Trigger word"), say("Put the trigger word first."), "trigger"),
    "escaped": Remedy(say("Escaped brackets"), say("Write tags plainly: without backslashes and underscores, with ordinary commas."), "normalise"),
    "underscores": Remedy(say("Underscores"), say("Write tags plainly: without backslashes and underscores, with ordinary commas."), "normalise"),
    "commas": Remedy(say("Chinese commas"), say("Write tags plainly: without backslashes and underscores, with ordinary commas."), "normalise"),
    "syntax": Remedy(say("Prompt syntax"), say("Remove weights and LoRAs from the caption."), "captions"),
    "duplicates": Remedy(say("Repeated tags"), say("Keep each tag once."), "dedupe"),
    "contradiction": Remedy(say("Contradictions"), say("Look at the picture and remove the tag that is wrong."), "captions"),
    "too_long": Remedy(say("Long captions"), say("Remove the tags that matter least."), "captions"),
    "exact": Remedy(say("The same picture twice"), say("Keep one of them; more repeats do the same and are counted."), "trash"),
    "near": Remedy(say("Nearly the same picture"), say("Keep the better one, or mark them as differential images if their differences matter.")),
    "bars": Remedy(say("Bars without a tag"), say("Crop the bars off, or add the tag, so that the LoRA does not learn them."), "bars"),
    "grey": Remedy(say("Black and white"), say("Add colour pictures, lower the repeats of the grey ones, or leave some out.")),
    "other_kind": Remedy(say("Kinds of files that are not read"), say("Convert it to PNG."), ""),
    "orphan": Remedy(say("Captions without a picture"), say("Give it the name of its picture, or take it out of the folder."), "trash"),
    "hidden": Remedy(say("Names"), say("Rename the file, if it is meant to be trained."), ""),
    "case": Remedy(say("Names that differ in case only"), say("Rename one of them: on Windows and macOS they are one name."), ""),
    "broken_link": Remedy(say("Links"), say("Remove the link, or put the file itself there."), ""),
    "upscale": Remedy(
        say("Smaller than the resolution"),
        say("Enlarge the picture (Prepare does it with an upscaler), train at a lower resolution, or leave it out."),
        "prepare",
    ),
    "reg_count": Remedy(say("Regularisation set"), say("Use as many pictures of other styles as the training set has."), ""),
    "reg_coverage": Remedy(say("Regularisation set"), say("Add pictures that show what is missing there, or tag it with a lower threshold (0.35)."), ""),
    "unsaved": Remedy(say("Not saved"), say("Save the captions: a training reads the files."), "captions"),
    "flips": Remedy(say("Mirrored pictures"), say("Keep one of the two: with flipped copies each picture is seen from both sides anyway.")),
    "long": Remedy(say("Long captions"), say("Keep what matters first, and remove what is no use."), "captions"),
    "colours": Remedy(say("How pictures are stored"), say("Nothing has to be done; save it as RGB PNG if the colours look wrong.")),
    "transparent": Remedy(say("How pictures are stored"), say("Nothing has to be done if white is what you want behind it.")),
    "huge": Remedy(say("How pictures are stored"), say("Nothing has to be done; Prepare makes smaller copies, which are read faster."), "prepare"),
    "link": Remedy(say("Links"), say("Nothing has to be done; a copy of this folder may lack what the link leads to."), ""),
    "long_path": Remedy(say("Long paths"), say("Choose shorter names: Windows opens no path of more than 259 letters."), ""),
    "junk": Remedy(say("Files of the system"), say("Nothing has to be done; it is no picture and can go."), "trash"),
    "tiny_buckets": Remedy(say("Buckets"), say("Crop these pictures to a shape that more pictures have, or train with a smaller batch."), "prepare"),
    "few": Remedy(say("Number of pictures"), say("Add pictures, or crop more from those there are: faces, half figures, whole ones."), "prepare"),
}
