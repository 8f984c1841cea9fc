// The step "Captions" of the Dataset page: what its parts share. Edits go to the server, which keeps them until they are saved.
//
// window.loraStudioDataset.captions is:
//   part(order, title, build(box), heard(what))   a foldable part of the step; its file is lora_studio_dataset_captions_<part>.js
//   act(op, scope, before)   does an operation (for Ctrl+Z, too); without `scope` to what api.scope() means. `before` is the caption
//                         it was made on; null is returned where another window has changed it. Else the server's answer
//   look(op, scope)       what it would do
//   save(), edits         writes what changed; `edits` is {unsaved, undo, redo}
//   selected              tags that are ticked in the list, for batch operations; select(tags) changes them
//   where()               a line that says which pictures an operation means
//   completing(field, choose)   offers tags while somebody types; `choose` gets the tag
(() => {
    "use strict";
    const api = window.loraStudioDataset;
    if (!api || api.captions) return;

    const ID = "lora_studio_ds_", WAIT = 140;
    const {state, el, t, data, number} = api;
    const byId = (id) => document.getElementById(ID + id);
    const parts = [], edits = {unsaved: 0, undo: "", redo: "", exact: true, version: ""}, mine = {set: "", cut: null, conflicts: []};
    const selected = new Set();

    // ---- edits

    function took(found) {
        for (const name in edits) if (name in found) edits[name] = found[name];
        foot();
        api.tell("edits");
    }

    const look = (op, scope) => api.post("dataset/edit", {op, ...(scope || api.scope()), preview: true});

    // In the order of the clicks: the next one works on what this one has made.
    // `before` is the caption that is shown: what another window has changed since is not overwritten, but shown.
    function act(op, scope, before) {
        const body = {op, ...(scope || api.scope()), ...(before === undefined ? {} : {before})};
        return api.inTurn(async () => {
            const found = await api.post("dataset/edit", body).catch((error) => {
                if (error.status !== 409) throw error;
                api.say("warning", error.message);
                return null;
            });
            if (!found) { await caughtUp(); return null; }
            took(found);
            if (found.left_out.length) api.say("warning", found.left_out.join("\n"));
            if (found.changed) did(found.what);
            await api.changed(found.changed ? "captions" : "looked");
            return found;
        });
    }

    // Another window of this browser works on the same captions.
    async function caughtUp() {
        took(await api.get("dataset/editing"));
        await api.changed("captions");
    }

    async function looked() {
        if (!state.set || document.hidden) return;
        const before = edits.version, found = await api.get("dataset/editing").catch(() => null);
        if (found && before && found.version !== before && edits.version === before) await api.inTurn(caughtUp);
    }

    window.addEventListener("focus", looked);
    document.addEventListener("visibilitychange", looked);

    // Every edit of captions is undone by the server, in its own order.
    function did(text) {
        api.did({text, undo: back("undo"), redo: back("redo")});
    }

    const back = (how) => async () => {
        const found = await api.post(`dataset/${how}`, {});
        took(found);
        if (found.done) await api.changed("captions");
        return found.done;
    };

    async function standing() {
        const found = await api.get("dataset/editing");
        took(found);
        mine.cut = found.cut || null;
        if (mine.cut) api.say("warning", mine.cut.told, {label: t("Show"), act: () => api.show("captions")});
        trouble();
    }

    // After the edits that are under way.
    const save = (choice) => api.inTurn(async () => {
        const found = await api.post("dataset/save", choice || {});
        took(found);
        mine.conflicts = found.conflicts;
        if (found.saved) api.say("good", found.told[0]);
        if (found.failed.length) api.say("error", found.failed.join("\n"));
        if (found.conflicts.length) api.say("warning", found.told[found.told.length - 1], {label: t("Choose"), act: () => api.show("captions")});
        trouble();
        await api.changed("captions");
        tell("saved");
    });

    // ---- the foot: how much is not saved

    function foot() {
        const button = byId("save");
        if (!button) return;
        const n = edits.unsaved;
        button.textContent = data(n ? (n === 1 ? t("Save 1 caption") : t("Save {n} captions", {n: number(n)})) : t("All saved"));
        button.disabled = !n;
        button.dataset.unsaved = n;
        for (const how of ["undo", "redo"]) {
            if (byId(how)) byId(how).title = edits[how] ? data(edits[how]) : how === "undo" ? t("Ctrl+Z") : t("Ctrl+Y");
        }
    }

    api.foot("save", 30, (box) => {
        box.append(el("button", {type: "button", id: `${ID}save`, class: "lora_studio_button lora_studio_primary", title: t("Ctrl+S. Only the captions that changed are written; the old ones are kept as a backup."), on: {click: () => save()}}));
        document.addEventListener("keydown", (event) => {
            const page = document.getElementById("lora_studio_dataset"), ours = event.target === document.body || page.contains(event.target);
            if (!(event.ctrlKey || event.metaKey) || event.altKey || event.key.toLowerCase() !== "s" || !page.offsetParent || !ours) return;
            event.preventDefault();
            // What is being typed counts: leaving the field hands it on, and the save waits for that.
            if (document.activeElement !== document.body) document.activeElement.blur();
            save();
        });
        foot();
        return {changed: (what) => { if (what === "set" || mine.set !== state.set) opened(); }};
    });
    api.history.behind({undo: back("undo"), redo: back("redo"), can: () => ({undo: Boolean(edits.undo), redo: Boolean(edits.redo)})});

    // ---- what needs a decision: a save that was cut off, captions that others wrote

    function trouble() {
        const box = byId("captions_trouble");
        if (!box) return;
        const nodes = [];
        if (mine.cut) nodes.push(cut());
        if (mine.conflicts.length) nodes.push(conflicts());
        box.replaceChildren(...nodes);
        box.hidden = !nodes.length;
    }

    function cut() {
        const settle = (finish) => async () => {
            const found = await api.post("dataset/settle", {backup: mine.cut.backup, finish});
            took(found);
            if (found.failed.length) return api.say("error", found.failed.join("\n"));
            mine.cut = null;
            trouble();
            await api.changed("captions");
            return standing();
        };
        const others = mine.cut.other.length > 0 && el("p", {class: "lora_studio_ds_help"}, data(t("These were changed since and stay as they are: {names}", {names: mine.cut.other.join(", ")})));
        return el("div", {class: "lora_studio_notes lora_studio_warning", id: `${ID}cut`, role: "alert"}, el("strong", {}, t("A save was cut off")), el("p", {}, data(mine.cut.told)), others,
            el("p", {class: "lora_studio_ds_acts"}, api.fields.button({label: t("Finish the save"), kind: "primary", id: `${ID}finish`, act: settle(true)}), api.fields.button({label: t("Back to the old texts"), id: `${ID}takeback`, act: settle(false)})));
    }

    function conflicts() {
        const all = mine.conflicts.map((one) => one.file);
        const keep = (files) => () => save({overwrite: files}), take = (files) => () => save({take: files});
        const line = (name, text) => el("p", {class: "lora_studio_ds_version"}, el("strong", {}, name), " ", text === null ? t("no caption") : data(text));
        const shown = mine.conflicts.slice(0, 20).map((one) => el("div", {class: "lora_studio_ds_conflict", "data-file": one.file}, el("code", {}, data(one.file)), line(t("Yours:"), one.mine), line(t("On the disk:"), one.theirs),
            el("p", {class: "lora_studio_ds_acts"}, api.fields.button({label: t("Keep mine"), act: keep([one.file])}), api.fields.button({label: t("Take the one on the disk"), act: take([one.file])}))));
        return el("div", {class: "lora_studio_notes lora_studio_warning", id: `${ID}conflicts`, role: "alert"}, el("strong", {}, t("Changed by somebody else meanwhile")), ...shown,
            all.length > 1 && el("p", {class: "lora_studio_ds_acts"}, api.fields.button({label: t("Keep all of mine"), act: keep(all)}), api.fields.button({label: t("Take all from the disk"), act: take(all)})));
    }

    // ---- tags that are ticked

    function select(tags) {
        selected.clear();
        for (const tag of tags) selected.add(tag);
        tell("selected");
    }

    // ---- completion: a list below a field; what is typed after the last comma counts

    function completing(field, choose) {
        const list = el("ul", {class: "lora_studio_ds_offers", role: "listbox", hidden: true});
        let asked = 0, timer = 0, at = -1, offers = [], offered = "";
        field.setAttribute("autocomplete", "off");
        field.setAttribute("role", "combobox");
        field.setAttribute("aria-expanded", "false");
        const part = () => field.value.split(",").pop().trim();
        // Over everything, so that no column's end cuts it off; above the field where there is no room below it.
        const put = () => {
            const box = field.getBoundingClientRect(), below = window.innerHeight - box.bottom - 8, up = below < Math.min(list.scrollHeight, 180) && box.top > below;
            const width = Math.max(box.width, Math.min(list.scrollWidth, 300));
            Object.assign(list.style, {minWidth: `${box.width}px`, left: `${Math.max(8, Math.min(box.left, window.innerWidth - width - 8))}px`, maxHeight: `${Math.min(256, up ? box.top - 8 : below)}px`,
                top: up ? "auto" : `${box.bottom + 2}px`, bottom: up ? `${window.innerHeight - box.top + 2}px` : "auto"});
        };
        const show = (on) => { list.hidden = !on; if (on) put(); window[on ? "addEventListener" : "removeEventListener"]("scroll", moved, true); field.setAttribute("aria-expanded", String(on)); if (!on) at = -1; };
        function moved(event) {
            if (event.target === list) return;
            if (!list.isConnected) show(false);
            else put();
        }
        const mark = () => [...list.children].forEach((node, place) => { node.setAttribute("aria-selected", String(place === at)); if (place === at) node.scrollIntoView({block: "nearest"}); });
        const take = (one) => { show(false); asked += 1; offers = []; choose(one.tag); };
        const draw = () => {
            list.replaceChildren(...offers.map((one) => el("li", {role: "option", "data-tag": one.tag, on: {mousedown: (event) => { event.preventDefault(); take(one); }}},
                el("span", {}, data(one.of ? `${one.of} → ${one.tag}` : one.tag)), el("small", {}, data(one.set ? t("{n} here", {n: number(one.set)}) : one.count ? short(one.count) : "")))));
            show(offers.length > 0 && document.activeElement === field);
        };
        field.addEventListener("input", () => {
            clearTimeout(timer);
            const text = part(), turn = ++asked;
            if (!text) return show(false);
            timer = setTimeout(async () => {
                const found = await api.get("dataset/complete", {text}).catch(() => null);
                if (!found || turn !== asked) return;
                offers = found.tags.slice(0, 12);
                offered = text;
                at = -1;
                draw();
            }, WAIT);
            return undefined;
        });
        field.addEventListener("keydown", (event) => {
            if (list.hidden || event.isComposing) return;
            if (event.key === "ArrowDown" || event.key === "ArrowUp") {
                event.preventDefault();
                at = (at + (event.key === "ArrowDown" ? 1 : -1) + offers.length + (at < 0 && event.key === "ArrowUp" ? 1 : 0)) % offers.length;
                mark();
            } else if ((event.key === "Enter" || event.key === "Tab") && at >= 0) {
                event.preventDefault();
                event.stopImmediatePropagation();
                take(offers[at]);
            } else if (event.key === "Escape") {
                event.preventDefault();
                event.stopPropagation();
                offers = [];
                show(false);
            }
        });
        // Left for a moment, while the field is put to another place, the offers are there again.
        field.addEventListener("blur", () => { list.hidden = true; window.removeEventListener("scroll", moved, true); });
        field.addEventListener("focus", () => { if (offers.length && field.value && part() === offered) { show(true); mark(); } });
        return el("span", {class: "lora_studio_ds_completing"}, field, list);
    }

    const short = (n) => (n >= 1e6 ? `${(n / 1e6).toFixed(1)}M` : n >= 1000 ? `${Math.round(n / 1000)}k` : String(n));

    // A field for several tags, with completion of the one that is being typed.
    function tagsField(options) {
        const node = api.fields.text(options), field = node.field, next = node.querySelector("input");
        const place = document.createComment("");
        next.replaceWith(place);
        place.replaceWith(completing(field, (tag) => {
            field.value = [...field.value.split(",").slice(0, -1).map((one) => one.trim()).filter(Boolean), tag].join(", ");
            field.dispatchEvent(new Event("input", {bubbles: true}));
            field.focus();
        }));
        node.tags = () => field.value.split(",").map((one) => one.trim()).filter(Boolean);
        return node;
    }

    // ---- which pictures an operation means: a line that each part may show

    function where() {
        return el("p", {class: "lora_studio_ds_help", "data-scope": "1"}, scope());
    }

    function scope() {
        const n = api.scopeCount();
        return data(state.picked.size ? (n === 1 ? t("Works on the picture you picked.") : t("Works on the {n} pictures you picked.", {n: number(n)}))
            : n === state.images ? t("Works on all {n} pictures.", {n: number(n)}) : t("Works on the {n} pictures that are shown.", {n: number(n)}));
    }

    // ---- the step

    function part(order, name, title, build, heard) {
        parts.push({order, name, title, build, heard});
        parts.sort((one, other) => one.order - other.order);
    }

    function tell(what) {
        if (["rows", "picked", "shown"].includes(what)) for (const node of document.querySelectorAll("#lora_studio_dataset [data-scope]")) node.textContent = scope();
        for (const one of parts) if (one.built && one.heard) one.heard(what);
    }

    function build(box) {
        box.append(el("div", {id: `${ID}captions_trouble`, hidden: true}));
        for (const one of parts) {
            const inner = el("div", {class: "lora_studio_ds_part"});
            // The list of tags is always seen; what is needed now and then is folded.
            const open = (api.kept("captions_open") || ["batch"]).includes(one.name);
            const fold = one.order === 0 ? el("section", {class: "lora_studio_ds_part", "data-part": one.name}, el("h4", {}, one.title()), inner)
                : el("details", {class: "lora_studio_ds_fold", "data-part": one.name, open, on: {toggle: folded}}, el("summary", {}, one.title()), inner);
            box.append(fold);
            one.built = inner;
            one.build(inner);
            one.fold = fold;
        }
        trouble();
    }

    function folded(event) {
        api.keep("captions_open", parts.filter((one) => one.fold && one.fold.open).map((one) => one.name));
        const one = parts.find((found) => found.fold === event.currentTarget);
        if (one && one.fold.open && one.heard) one.heard("opened");
    }

    const isOpen = (name) => { const one = parts.find((found) => found.name === name); return Boolean(one && one.built && (one.order === 0 || (one.fold && one.fold.open)) && one.built.offsetParent); };

    // Also before this step is looked at: the foot says what is not saved.
    function opened() {
        if (mine.set === state.set) return;
        mine.set = state.set;
        mine.conflicts = [];
        selected.clear();
        api.attempt(standing);
    }

    api.captions = {part, act, look, save, edits, selected, select, completing, tagsField, where, isOpen, tell, did, took, byId};
    api.panel({name: "captions", title: () => t("Captions"), order: 30, narrowed: true, build, changed: tell, shown: () => tell("shown")});
})();
