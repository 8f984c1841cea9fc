"""What the guides say beside the rules, and where they contradict each other: what holds here."""

from __future__ import annotations

from lib_lora.core.messages import Message, say
from lib_lora.repeats.problem import Answer

EPOCHS, BATCH = 10, 2


def hints(answer: Answer) -> tuple[Message, ...]:
    """Ranges to compare an answer with."""
    told = [
        say("Usual repeats: 5 to 10 for drawn pictures, 10 to 30 for photographs."),
        say("Usual sets: about 20 pictures for a character, from all sides, heads and whole figures; 40 or more for a style, all of one period of the artist."),
    ]
    if answer.total is not None:
        images = answer.total * (2 if answer.problem.flip else 1)
        values = {"images": images, "epochs": EPOCHS, "batch": BATCH, "steps": -(-images * EPOCHS // BATCH)}
        told.append(say("Steps = pictures × repeats × epochs ÷ batch size: {images} × {epochs} ÷ {batch} = {steps} here with {epochs} epochs.", **values))
    return tuple(told)


def conflicts() -> tuple[Message, ...]:
    """A sentence for each point in which the guides differ or err."""
    return (
        say("Thresholds: one guide tags at 0.35, ornate pictures at 0.5; another its training set at 0.5, the regularisation set at 0.35. Look at the tags."),
        say("Kept tags: one guide shuffles all tags, others keep 1 or 3 in front. With a trigger word at least 1 has to be kept, or it does not stay first."),
        say("Alpha: one guide says that an alpha near the rank weakens a LoRA. Its strength is alpha ÷ rank, so that it is the other way round."),
        say("Warm-up: one guide says it begins with a high learning rate; it begins with a low one. The same guide confuses SD2 (768) with SDXL (1024)."),
        say("Paths: one guide forbids Chinese letters and spaces in paths. They work here; other trainers may stumble over them."),
        say("Noise: noise offset and multires noise serve the same end. Use one of them, not both."),
        say("Steps: a guide's example for a character trains 200 steps in all. The rule of 1000 to 2000 per epoch is meant for styles."),
        say("Restarts: “3 restarts per 50 epochs” may be 12 in 200 epochs or 3 in all. Here the number of cycles is a setting of its own."),
        say("Buckets: each rounds its last batch up, so that 2 steps per epoch become 3 where buckets are uneven. The table takes them as they are."),
        say("Flips: mirroring at random in training adds no pictures. Only flipped copies make a picture count 2 instead of 4."),
    )
