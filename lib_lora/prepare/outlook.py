"""What writing a plan would change in a project that is there already; looked up, nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lib_lora.core.messages import Message, count, say
from lib_lora.prepare import manifest
from lib_lora.prepare.plan import Plan
from lib_lora.prepare.render import recipe


@dataclass(frozen=True)
class Outlook:
    """`exists`: there is a project of ours to update. `same` pictures stay, `made` are written, `gone` are in it no more."""

    exists: bool = False
    same: int = 0
    made: int = 0
    gone: int = 0

    def sentences(self) -> tuple[Message, ...]:
        """The same in words."""
        if not self.exists:
            return ()
        found = [say("The project is there already and is updated: {same} pictures stay as they are, {made} are written.", same=self.same, made=self.made)]
        if self.gone:
            found.append(
                count(
                    self.gone,
                    "1 picture of the project is in the plan no more and leaves it.",
                    "{n} pictures of the project are in the plan no more and leave it.",
                )
            )
        found.append(say("What you changed in the project by hand stays: captions, pictures, files you added. Undo brings the state of now back."))
        return tuple(found)


def outlook(plan: Plan, target: Path) -> Outlook:
    """Compare a plan with what lies at `target`."""
    found = manifest.read(target)
    if found is None:
        return Outlook(made=len(plan.copies))
    before = found.by_identity()
    same = sum((old := before.get(copy.identity)) is not None and old.mark == copy.mark and old.recipe == recipe(copy, plan.config) for copy in plan.copies)
    wanted = {copy.identity for copy in plan.copies}
    return Outlook(True, same, len(plan.copies) - same, sum(identity not in wanted for identity in before))
