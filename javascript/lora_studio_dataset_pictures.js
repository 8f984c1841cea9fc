// The step "Pictures": classes that take dragged pictures, folders, what is worth a look, groups, and the trash.
(() => {
    "use strict";
    const api = window.loraStudioDataset;
    if (!api || api.pictures) return;

    const ID = "lora_studio_ds_";
    const {state, el, t, data, number} = api;
    const byId = (id) => document.getElementById(ID + id);
    let size = null;

    // What is worth a look: why, and what to do about it.
    const LOOKS = {
        flaw: () => t("These cannot be read. Save them anew, or leave them out."),
        exact: () => t("The same pixels more than once: each copy counts like a repeat that nobody computed. Keep one."),
        near: () => t("Hardly different from one another: keep the better one."),
        flip: () => t("Mirrored copies. Leave those to the step Prepare, which counts them right and swaps left and right in the captions."),
        group: () => t("Differential images: variants of one drawing. A group counts as one picture when repeats are computed."),
        no_caption: () => t("Without a caption a picture teaches everything that is on it at once. Let a tagger write one."),
        lint: () => t("Something in these captions will not be read as it was meant."),
        bars: () => t("Black or white bars would be learnt. Crop them off in the step Prepare, or say so in the tags: letterboxed, pillarboxed."),
        small: () => t("Smaller than the resolution: they would be enlarged and look soft. Upscale them in the step Prepare."),
        cropped: () => t("Training would cut off a good part of these. Crop or pad them in the step Prepare."),
        grey: () => t("Black and white. For a model that paints in colour there should not be more of these than of coloured ones."),
        tinted: () => t("In one colour only; they count as black and white."),
        outlier: () => t("Drawn otherwise than the rest, as far as can be told without eyes. Look whether they belong here."),
        animated: () => t("Only the first frame of these is trained."),
    };

    function part(title, help, ...children) {
        return el("section", {class: "lora_studio_ds_part"}, el("h4", {}, title), help && el("p", {class: "lora_studio_ds_help"}, help), ...children);
    }

    // One line of a list: chosen it narrows the view, chosen again it widens it.
    function line(field, value, words, count, more) {
        const on = state.where[field] === value;
        return el("button", {type: "button", class: "lora_studio_ds_line", "aria-pressed": String(on), "data-filter": `${field}:${value}`, on: {click: () => api.narrow({[field]: on ? null : value, keys: null})}, ...more},
            words, el("span", {class: "lora_studio_ds_number_of"}, number(count)));
    }

    // ---- the parts

    function classes() {
        const known = api.gallery.kinds().map(([kind, name], place) => {
            const node = line("kind", kind, el("span", {}, el("span", {class: "lora_studio_ds_dot", "data-kind": kind, "aria-hidden": "true"}), name, " ", el("kbd", {}, String(place + 1))), state.kinds[kind] || 0, {"data-kind": kind});
            api.gallery.target(node, (keys) => api.gallery.classify(kind, keys));
            return node;
        });
        const none = line("kind", "none", el("span", {}, el("span", {class: "lora_studio_ds_dot", "data-kind": "none", "aria-hidden": "true"}), t("No class")), state.kinds.none || 0);
        api.gallery.target(none, (keys) => api.gallery.classify(null, keys));
        return [...known, none];
    }

    function folders() {
        const words = (one) => el("span", {title: one.key || state.root}, data(one.key || t("the folder itself")), one.repeats ? el("small", {}, data(` ×${one.repeats}`)) : "");
        return state.folders.map((one) => line("folder", one.key || ".", words(one), one.count));
    }

    function looks() {
        const found = Object.entries(state.flags || {}).filter(([flag, count]) => count && LOOKS[flag]);
        if (!found.length) return [el("p", {class: "lora_studio_ds_help"}, state.analysis && !state.analysis.settled ? t("Not known yet.") : t("Nothing: no copies, no bars, no picture too small."))];
        return found.map(([flag, count]) => el("div", {class: "lora_studio_ds_look"}, line("flag", flag, el("span", {class: "lora_studio_ds_flag", "data-flag": flag}, api.gallery.flagName(flag)), count), el("p", {class: "lora_studio_ds_help"}, LOOKS[flag]()),
            ["exact", "near"].includes(flag) && el("p", {class: "lora_studio_ds_acts"}, api.fields.button({id: `${ID}best_${flag}`, kind: "link", label: t("Keep the best of each"), help: t("The copy with a caption, then the larger one, stays. The others go to the trash; Undo brings them back."), act: () => thin(flag)}))));
    }

    // One act, however many there are, so that one Undo brings all of them back.
    async function thin(flag) {
        const {go} = await api.post("dataset/copies", {flag});
        if (!go.length) return api.say("good", t("There is nothing to take away: what is alike here belongs to differential groups."));
        return api.gallery.trash(go);
    }

    function progress() {
        const found = state.analysis;
        if (!found || found.settled) return found && found.problem ? [el("p", {class: "lora_studio_ds_help"}, data(found.problem))] : [];
        const part = found.total ? found.done / found.total : 0;
        const words = found.done < found.total ? t("Looking at the pixels: {done} of {total}. You can go on working.", {done: number(found.done), total: number(found.total)}) : t("Comparing pictures with one another …");
        return [el("p", {class: "lora_studio_ds_help", role: "status"}, data(words)), el("div", {class: "lora_studio_bar"}, el("div", {class: "lora_studio_fill", style: `width:${(100 * part).toFixed(1)}%`}))];
    }

    function picked() {
        const keys = [...state.picked];
        if (keys.length < 2) return [el("p", {class: "lora_studio_ds_help"}, t("Pick two or more pictures (Ctrl, Shift or Space) to make them a group by hand."))];
        return [api.fields.button({label: data(t("Make these {n} a group", {n: number(keys.length)})), act: () => api.picture.grouped(keys, keys.slice().sort()[0])}),
            api.fields.button({label: t("In no group"), act: () => api.picture.grouped(keys, "")})];
    }

    async function trash() {
        const box = byId("trash");
        const {trash: found} = await api.get("dataset/trash/list");
        box.hidden = !found.length;
        byId("trashed").replaceChildren(...found.slice(0, 5).map((one) => el("p", {class: "lora_studio_ds_acts"},
            el("span", {title: one.keys.join("\n")}, data(one.keys.length === 1 ? one.keys[0] : t("{n} pictures", {n: number(one.keys.length)}))),
            api.fields.button({label: t("Bring back"), kind: "link", act: async () => {
                const back = await api.post("dataset/trash/undo", {trash: one.trash});
                if (back.problems.length) api.say("warning", back.problems.join("\n"));
                await api.changed("folders");
            }}))));
    }

    // ---- life

    function build(box) {
        const sizes = [["0", t("as the loaded model wants it")], ...[512, 640, 768, 896, 1024, 1280, 1536].map((side) => [String(side), `${side} × ${side}`])];
        size = api.fields.select({label: t("Show crops for"), id: `${ID}resolution`, options: sizes, value: String(api.kept("resolution") || 0), change: (value) => sized(Number(value)),
            help: t("Training brings every picture to this area and cuts what does not fit its bucket. SD1 512, SD2 768, SDXL 1024.")});
        box.append(el("div", {id: `${ID}looking`}),
            part(t("Classes"), t("Guessed from the tags. Drag pictures onto a class, or press its key; a click shows only these."), el("div", {id: `${ID}kinds`, class: "lora_studio_ds_lines"})),
            part(t("Worth a look"), "", el("div", {id: `${ID}looks`, class: "lora_studio_ds_lines"})),
            part(t("Folders"), "", el("div", {id: `${ID}folders`, class: "lora_studio_ds_lines"})),
            part(t("Crops"), "", size),
            part(t("Differential groups"), "", el("div", {id: `${ID}grouping`, class: "lora_studio_ds_acts"})),
            el("details", {id: `${ID}problems`, class: "lora_studio_files"}, el("summary", {}), el("ul", {})),
            el("div", {id: `${ID}trash`, hidden: true}, part(t("In the trash"), "", el("div", {id: `${ID}trashed`}))));
        draw();
    }

    function sized(side) {
        state.resolution = side;
        api.keep("resolution", side);
        return api.refresh();
    }

    function draw() {
        if (!byId("kinds")) return;
        put("looking", progress());
        put("kinds", classes());
        put("folders", folders());
        put("looks", looks());
        put("grouping", picked());
        byId("problems").hidden = !state.problems.length;
        byId("problems").querySelector("summary").textContent = data(t("Found while reading the folder ({n})", {n: number(state.problems.length)}));
        byId("problems").querySelector("ul").replaceChildren(...state.problems.map((text) => el("li", {}, data(text))));
        size.field.options[0].textContent = data(state.native ? t("as the loaded model wants it: {side}", {side: state.native}) : t("as the loaded model wants it"));
    }

    // A button that has the focus keeps it when its list is drawn anew.
    function put(id, nodes) {
        const box = byId(id), held = box.contains(document.activeElement) && document.activeElement.dataset.filter;
        box.replaceChildren(...nodes);
        if (held && box.querySelector(`[data-filter="${CSS.escape(held)}"]`)) box.querySelector(`[data-filter="${CSS.escape(held)}"]`).focus({preventScroll: true});
    }

    function changed(what) {
        if (["rows", "progress", "where"].includes(what)) draw();
        else if (what === "picked" && byId("grouping")) put("grouping", picked());
        if (what === "folders" || what === "set") trash().catch(() => null);
    }

    api.pictures = {LOOKS};
    api.panel({name: "pictures", order: 10, title: () => t("Pictures"), build, shown: () => { draw(); trash().catch(() => null); }, changed});
})();
