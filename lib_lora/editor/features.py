"""Which tags say what a character looks like, and how often such a tag has to stand to be a feature of theirs."""

from __future__ import annotations

from dataclasses import dataclass

from lib_lora.core.messages import Message, say


def _list(text: str) -> frozenset[str]:
    """Words and phrases, parted by commas."""
    return frozenset(" ".join(one.split()) for one in text.split(","))


@dataclass(frozen=True)
class Category:
    """A kind of feature: tags that are `names`, or whose last word is in `ends`.

    `share`: from which part of the pictures on such a tag is taken for the character's. `born` features belong to the body
    and are learnt with the trigger; others are put on and may change.
    """

    name: str
    label: Message
    share: float
    born: bool
    ends: frozenset[str]
    names: frozenset[str]


NEVER = 2.0  # a share that no tag has: such tags are shown and not suggested

# Looked through in this order: first for the whole tag, then for its last word. A tagger misses a feature in many a picture, so that
# two in five are much; clothes change, and only what is worn in most pictures belongs to the character.
CATEGORIES: tuple[Category, ...] = (
    Category(
        "eyes",
        say("Eyes"),
        0.4,
        True,
        _list(
            """
            eyes, pupils, sclera, eyelashes, eyebrows
            """
        ),
        _list(
            """
            heterochromia, tsurime, tareme, jitome, sanpaku, bags under eyes, eyes visible through hair
            """
        ),
    ),
    Category(
        "worn on the head",
        say("Worn in the hair and on the head"),
        0.6,
        False,
        _list(
            """
            hairclip, hairpin, hairband, headband, headdress, headwear, hat, cap, beret, crown, tiara, headgear, headpiece, headphones, hood,
            veil, bandana, circlet, helmet, wreath, glasses, eyewear, eyepatch, monocle, goggles, sunglasses, earrings, earring, scrunchie,
            piercing, mask, ornament
            """
        ),
        _list(
            """
            hair ornament, hair ribbon, hair bow, hair flower, hair tie, hair bobbles, hair tubes, hair bell, hair beads, hair stick, hair
            scrunchie, hair ring, flower on head, goggles on head, mask on head, star hair ornament, heart hair ornament, flower hair ornament,
            x hair ornament, food-themed hair ornament, butterfly hair ornament, leaf hair ornament, snake hair ornament, snowflake hair
            ornament, red ribbon hair, eyewear on head
            """
        ),
    ),
    Category(
        "hair",
        say("Hair"),
        0.4,
        True,
        _list(
            """
            hair, ponytail, twintails, bun, buns, braid, braids, bangs, locks, sidelocks, ahoge, dreadlocks, undercut, mullet, afro, mohawk,
            drills, updo
            """
        ),
        _list(
            """
            one side up, two side up, hair intakes, hair rings, hair flaps, hair over one eye, hair over eyes, hair over shoulder, hair between
            eyes, double bun, single hair bun, hair bun, hair down, bald, twin drills, widow's peak, hairlocs, antenna hair, low-tied long hair,
            cone hair bun, hair slicked back, hime cut, bob cut, pixie cut, wolf cut
            """
        ),
    ),
    Category(
        "ears",
        say("Ears, horns, tails, wings"),
        0.4,
        True,
        _list(
            """
            ears, horn, horns, antlers, antennae, halo, tail, tails, wings, fins, gills, scales, carapace, fang, fangs, tusks, hooves, paws,
            claws
            """
        ),
        _list(
            """
            ear fluff, kemonomimi mode, cat girl, dog girl, fox girl, wolf girl, rabbit girl, horse girl, elf, dark elf, kitsune, kyuubi, demon
            girl, dragon girl, cat boy, fox boy, wolf boy, demon boy, animal ear fluff, sharp teeth, third eye, extra eyes, extra arms, mermaid,
            lamia, harpy, centaur, slime girl
            """
        ),
    ),
    Category(
        "body",
        say("Body and face"),
        0.5,
        True,
        _list(
            """
            breasts, skin, mole, moles, freckles, beard, mustache, stubble, goatee, sideburns, tattoo, tanlines, joints, thighs, hips, physique
            """
        ),
        _list(
            """
            flat chest, dark-skinned female, dark-skinned male, muscular, muscular female, muscular male, abs, petite, curvy, plump, slim legs,
            facial hair, mole under eye, mole under mouth, mole above mouth, mole on breast, mole on neck, beauty mark, scar, scar on face, scar
            across eye, scar on cheek, scar on nose, facial mark, forehead mark, whisker markings, facial tattoo, arm tattoo, tan, albino,
            prosthesis, prosthetic arm, mechanical arms, mechanical parts, cyborg, android, pale skin, old man, old woman, tall female, height
            difference, pectorals, giant, fat man, thick eyebrows
            """
        ),
    ),
    Category(
        "clothes",
        say("Clothes and what is carried"),
        0.6,
        False,
        _list(
            """
            shirt, blouse, skirt, dress, jacket, coat, sweater, cardigan, hoodie, vest, uniform, kimono, yukata, hakama, cape, cloak, capelet,
            robe, apron, armor, bodysuit, leotard, swimsuit, bikini, shorts, pants, jeans, serafuku, gakuran, suit, tuxedo, corset, sarashi,
            haori, overalls, camisole, gown, jersey, poncho, sleeves, collar, neckerchief, necktie, bowtie, bow, ribbon, scarf, choker,
            necklace, pendant, gloves, gauntlets, socks, kneehighs, thighhighs, pantyhose, leggings, boots, shoes, loafers, sandals, footwear,
            belt, sash, obi, frills, epaulettes, armband, wristband, bracelet, bag, backpack, legwear, straps, trim, sword, katana, staff, wand,
            rifle, spear, scythe, umbrella, shawl, tabard, brooch, badge, cuffs, sneakers, heels, habit
            """
        ),
        _list(
            """
            sleeveless, bare shoulders, zettai ryouiki, off shoulder, cleavage cutout, clothing cutout, weapon, gun, hand fan, tank top, crop
            top, china dress, school uniform, midriff, turtleneck, id card, playboy bunny, maid, miko, santa costume, striped clothes, plaid
            clothes, belt buckle, garter straps
            """
        ),
    ),
    Category(
        "style",
        say("Ways of drawing: only for a LoRA of that style"),
        NEVER,
        False,
        _list("artstyle, (medium), (style), shading, coloring, parody"),
        _list(
            """
            chibi, sketch, lineart, traditional media, pixel art, flat color, faux traditional media, ukiyo-e, thick outlines, outline, no lineart,
            limited palette, muted color, pastel colors, high contrast, halftone, screentones, 3d, 4koma, comic, retro artstyle, toon (style)
            """
        ),
    ),
)

# A tag with one of these words tells what somebody does or how something is just now: it is no feature.
PASSING = _list(
    """
    holding, adjusting, removing, playing, touching, tucking, tying, pulling, grabbing, covering, covered, hugging, biting, sucking, pull, lift,
    tug, grab, slip, own, another's, unworn, torn, wet, no, open, closed, half-closed, rolling, floating, messy, empty, constricted, crying,
    looking, undressing, partially, naked, between, shiny, unbuttoned, untied, loose, broken, bursting, dirty, bloody, alternate, multiple,
    hanging, wide, crazy, glowing, focus, aside, breeze, wind, flip
    """
)
# But for these, which have such a word and are features.
LASTING = _list(
    """
    hair between eyes, multicolored hair, multiple tails, multiple braids, messy hair, wide sleeves, wide hips, multiple wings, open jacket,
    broken horn
    """
)


def category(tag: str) -> Category | None:
    """What kind of feature a tag names; None where it names none, such as a pose, a place or a way of drawing."""
    plain = " ".join(tag.casefold().replace("_", " ").split())
    if plain not in LASTING and not PASSING.isdisjoint(plain.split(" ")):
        return None
    named = next((one for one in CATEGORIES if plain in one.names), None)
    return named or next((one for one in CATEGORIES if plain.rpartition(" ")[2] in one.ends), None)
