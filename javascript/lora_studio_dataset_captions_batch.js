// Batch operations on captions: what is chosen here is told in a sentence with examples before it happens, and can be undone.
(() => {
    "use strict";
    const api = window.loraStudioDataset, captions = api && api.captions;
    if (!captions || captions.batch) return;

    const ID = "lora_studio_ds_", WAIT = 250, KEPT = "batch";
    const {state, el, t, data, number} = api;
    const byId = captions.byId;
    const mine = {kind: "add", timer: 0, asked: 0, form: {}, whole: false, ...(api.kept(KEPT) || {}), form: {}};

    const PLACES = () => [["front", t("in front")], ["back", t("at the end")], ["position", t("at position")]];
    const field = (name, make, options) => { const node = make({id: `${ID}batch_${name}`, ...options, change: () => soon(0), typed: () => soon(WAIT)}); mine.form[name] = node; return node; };
    const tags = (label, help) => field("tags", captions.tagsField, {label, help, placeholder: t("tag, another tag")});
    // The position is asked for only where it counts.
    function place(value) {
        const which = field("place", api.fields.choice, {label: t("Where"), options: PLACES(), value});
        const position = field("position", api.fields.number, {label: t("Position (1 is the first)"), min: 1, max: 999, value: 2});
        const seen = () => { position.hidden = which.read() !== "position"; };
        which.addEventListener("change", seen);
        seen();
        return [which, position];
    }

    const read = (name) => mine.form[name].read();
    const at = () => ({place: read("place"), position: read("position")});

    // Each: what it is called, its fields, and the operation they make; null while something is missing.
    const KINDS = {
        add: {name: () => t("Add tags"), build: () => [tags(t("Tags to add"), t("Where a caption has one already, it stays where it is.")), ...place("front")], op: (whole) => mine.form.tags.tags().length && {tags: mine.form.tags.tags(), ...at(), whole}},
        remove: {name: () => t("Remove tags"), ticked: true, build: () => [tags(t("Tags to remove"), t("Tags picked in the list above stand here by themselves."))], op: (whole) => mine.form.tags.tags().length && {tags: mine.form.tags.tags(), whole}},
        replace: {name: () => t("Search and replace"), build: replacing, op: replaced},
        move: {name: () => t("Move tags"), ticked: true, build: () => [tags(t("Tags to move"), t("The first tags weigh most; what means nothing, such as a background, belongs to the end.")), ...place("back")], op: () => mine.form.tags.tags().length && {tags: mine.form.tags.tags(), ...at()}},
        sort: {name: () => t("Sort tags"), build: () => [
            field("by", api.fields.select, {label: t("Sort by"), value: "frequency", options: [["frequency", t("Frequency")], ["alphabet", t("Alphabet")], ["length", t("Length")], ["tokens", t("Tokens")]]}),
            field("descending", api.fields.tick, {label: t("The largest first"), value: true}),
            field("keep", api.fields.number, {label: t("Tags at the front that stay"), help: t("The trigger word has to stay first."), min: 0, max: 50, value: 1})],
            op: () => ({by: read("by"), descending: read("descending"), keep: read("keep")})},
        dedupe: {name: () => t("Remove repeated tags"), build: () => [el("p", {class: "lora_studio_ds_help"}, t("Of tags that stand in a caption more than once the first stays, in whatever letter case."))], op: () => ({})},
        truncate: {name: () => t("Shorten"), build: () => [field("most", api.fields.number, {label: t("At most so many tokens"), help: t("Tags are left out from the end. A text encoder reads 75 at once."), min: 1, max: 1000, value: 75})], op: (whole) => ({most: read("most"), whole})},
        normalise: {name: () => t("Make captions plain"), build: () => [
            el("p", {class: "lora_studio_ds_help"}, t("Takes backslashes off brackets, makes spaces of underscores (not in faces such as o_o), drops empty tags and needless spaces.")),
            field("keep_tags", captions.tagsField, {label: t("Tags that stay as they are"), help: t("A trigger word may have an underscore."), value: api.trigger.read()}),
            field("lower", api.fields.tick, {label: t("Small letters"), value: false})],
            op: (whole) => ({keep: mine.form.keep_tags.tags(), lower: read("lower"), whole})},
    };

    function replacing() {
        return [
            field("find", api.fields.text, {label: t("Look for")}),
            field("replacement", api.fields.text, {label: t("Put instead"), help: t("Empty erases. A comma makes two tags. In patterns \\1 is the first group.")}),
            field("mode", api.fields.choice, {label: t("What to look for"), value: "tag", options: [["tag", t("a whole tag")], ["text", t("words anywhere")], ["regex", t("a pattern (regex)")]]}),
            field("within", api.fields.choice, {label: t("Look in"), value: "each", options: [["each", t("every tag")], ["selected", t("picked tags only")], ["caption", t("the whole caption")]]}),
            field("ignore_case", api.fields.tick, {label: t("Capital or small is the same"), value: false}),
        ];
    }

    function replaced(whole) {
        if (!read("find")) return null;
        const within = read("within"), picked = [...captions.selected];
        if (within === "selected" && !picked.length) return null;
        return {find: read("find"), replacement: read("replacement"), mode: read("mode"), within, ignore_case: read("ignore_case"), whole, ...(within === "selected" ? {tags: picked} : {})};
    }

    function operation() {
        const found = KINDS[mine.kind].op(mine.whole);
        return found ? {kind: mine.kind, ...found} : null;
    }

    // ---- telling before doing

    function soon(wait) {
        clearTimeout(mine.timer);
        mine.timer = setTimeout(look, wait === undefined ? WAIT : wait);
    }

    async function look() {
        if (!captions.isOpen("batch") || !state.set) return;
        const box = byId("batch_told"), op = operation(), turn = ++mine.asked, button = byId("batch_go");
        if (!op) {
            box.replaceChildren();
            box.dataset.changed = byId("batch_sentence").textContent = "";
            button.disabled = true;
            return;
        }
        let found;
        try {
            found = await captions.look(op);
        } catch (error) {
            found = {error: error.message};
        }
        if (turn !== mine.asked) return;
        button.disabled = !found.changed;
        byId("batch_sentence").textContent = data(found.sentence || "");
        box.dataset.changed = found.changed ?? "";
        box.replaceChildren(...(found.error ? [el("p", {class: "lora_studio_ds_wrong", role: "alert"}, data(found.error))] : told(found)));
    }

    function told(found) {
        const tag = (kind, [name, n]) => el("span", {class: "lora_studio_ds_moved", "data-kind": kind}, data(`${kind === "gone" ? "−" : "+"} ${name} ${number(n)}`));
        const line = (one) => el("div", {class: "lora_studio_ds_example"}, el("code", {}, data(one.file)), ...compared(one.before || "", one.after || ""));
        return [
            (found.gone.length > 0 || found.come.length > 0) && el("p", {class: "lora_studio_ds_moves"}, found.gone.slice(0, 8).map((one) => tag("gone", one)), found.come.slice(0, 8).map((one) => tag("come", one))),
            ...found.examples.slice(0, 3).map(line),
            ...found.left_out.map((text) => el("p", {class: "lora_studio_ds_help"}, data(text))),
        ].filter(Boolean);
    }

    // A caption before and after, what goes struck out and what comes underlined.
    function compared(before, after) {
        const cut = (text) => text.split(",").map((one) => one.trim()).filter(Boolean), old = cut(before), now = cut(after);
        const row = (all, others, name) => el("p", {class: "lora_studio_ds_version"}, all.length ? all.flatMap((one, place) => [place ? ", " : "", others.includes(one) ? data(one) : el(name, {}, data(one))]) : t("no caption"));
        return [row(old, now, "del"), row(now, old, "ins")];
    }

    async function go() {
        const op = operation();
        if (!op) return;
        const found = await captions.act(op);
        if (!found) return;
        api.say("good", `${found.what}\n${found.sentence}`, {label: t("Undo"), act: () => api.history.undo()});
        if (mine.kind === "remove" || mine.kind === "move") captions.select([]);
        soon(0);
    }

    // ---- drawing

    function draw() {
        mine.form = {};
        byId("batch_form").replaceChildren(...KINDS[mine.kind].build());
        if (KINDS[mine.kind].ticked) mine.form.tags.write([...captions.selected].join(", "));
        soon(0);
    }

    function build(box) {
        const kinds = Object.entries(KINDS).map(([kind, one]) => [kind, one.name()]);
        box.append(
            api.fields.select({label: t("What to do"), id: `${ID}batch_kind`, options: kinds, value: mine.kind, change: (value) => { mine.kind = value; api.keep(KEPT, {kind: mine.kind, whole: mine.whole}); draw(); }}),
            el("div", {id: `${ID}batch_form`, class: "lora_studio_ds_part"}),
            api.fields.tick({label: t("Captions are sentences"), id: `${ID}batch_whole`, help: t("Commas belong to the sentence then and part nothing."), value: mine.whole, change: (value) => { mine.whole = value; api.keep(KEPT, {kind: mine.kind, whole: mine.whole}); soon(0); }}),
            captions.where(),
            el("p", {class: "lora_studio_ds_acts"}, api.fields.button({label: t("Do it"), id: `${ID}batch_go`, kind: "primary", act: go}), el("strong", {id: `${ID}batch_sentence`, role: "status"})),
            el("div", {id: `${ID}batch_told`, class: "lora_studio_ds_told_batch"}));
        byId("batch_go").disabled = true;
        draw();
    }

    function heard(what) {
        if (what === "selected" && KINDS[mine.kind].ticked) mine.form.tags.write([...captions.selected].join(", "));
        if (["selected", "rows", "picked", "opened", "shown"].includes(what)) soon();
    }

    captions.batch = {look};
    captions.part(10, "batch", () => t("Change many captions"), build, heard);
})();
