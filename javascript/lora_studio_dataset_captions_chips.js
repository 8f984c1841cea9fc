// The tags of the chosen picture as chips: drag them into order, take them away, write new ones where they belong.
(() => {
    "use strict";
    const api = window.loraStudioDataset, captions = api && api.captions;
    if (!captions || captions.chips) return;

    const ID = "lora_studio_ds_", KEPT = "caption_as_text", CHUNK = 75;
    const {el, t, data, number} = api;
    const byId = captions.byId;
    // `at`: where the field for a new tag stands, null: at the end. `focus`: what is focused again after drawing.
    const mine = {key: "", at: null, focus: null, dragged: null, text: Boolean(api.kept(KEPT)), pending: 0, adder: null, editing: null, moving: false};

    const cut = (text) => text.split(",").map((one) => one.trim()).filter(Boolean);

    // Seen at once, so that the next key works on what this one has made; the server's row comes when all are done.
    function write(row, tags) {
        const before = mine.row.caption;
        mine.pending += 1;
        mine.row = {...mine.row, tags, caption: tags.join(", ")};
        draw();
        return captions.act({kind: "set", text: tags.join(", ")}, {keys: [row.key]}, before).finally(() => {
            mine.pending -= 1;
            if (!mine.pending) draw(mine.place, api.gallery.row(mine.key) || mine.row);
        });
    }

    function moved(row, from, to) {
        const tags = row.tags.slice(), [tag] = tags.splice(from, 1);
        const place = to > from ? to - 1 : to;
        tags.splice(place, 0, tag);
        mine.focus = place;
        return place === from ? Promise.resolve() : write(row, tags);
    }

    function removed(row, place) {
        mine.focus = row.tags.length > 1 ? Math.min(place, row.tags.length - 2) : "field";
        return write(row, row.tags.filter((_, one) => one !== place));
    }

    function inserted(row, text) {
        const added = cut(text), there = new Set(row.tags.map((tag) => tag.toLowerCase()));
        const fresh = added.filter((tag) => !there.has(tag.toLowerCase())), at = mine.at === null ? row.tags.length : mine.at;
        mine.focus = "field";
        if (!fresh.length) return null;
        if (mine.at !== null) mine.at += fresh.length;
        return write(row, [...row.tags.slice(0, at), ...fresh, ...row.tags.slice(at)]);
    }

    // ---- chips

    function chip(row, tag, place) {
        const remove = el("button", {type: "button", class: "lora_studio_ds_chipx", tabindex: "-1", "aria-label": data(t("Take {tag} away", {tag})), title: t("Take it away"), on: {click: (event) => { event.stopPropagation(); removed(row, place); }}}, "×");
        const node = el("li", {class: "lora_studio_ds_tagchip", draggable: "true", tabindex: "-1", "data-place": place, "data-tag": tag, "aria-label": data(tag), title: t("Drag it to another place. Keys: Alt+← and Alt+→ move it, Delete takes it away, Enter changes it."),
            on: {keydown: (event) => key(event, row, place), dblclick: () => edit(row, place)}}, el("span", {}, data(tag)), remove);
        node.addEventListener("dragstart", (event) => {
            event.stopPropagation();
            mine.dragged = place;
            event.dataTransfer.effectAllowed = "move";
            event.dataTransfer.setData("text/plain", tag);
            node.classList.add("lora_studio_ds_lifted");
        });
        node.addEventListener("dragend", () => { mine.dragged = null; node.classList.remove("lora_studio_ds_lifted"); marked(null); });
        return node;
    }

    function marked(node, side) {
        for (const one of document.querySelectorAll(`#${ID}tagchips [data-side]`)) delete one.dataset.side;
        if (node) node.dataset.side = side;
    }

    // Before or after the chip that is nearest to the pointer.
    function place(list, event) {
        const nodes = [...list.querySelectorAll(".lora_studio_ds_tagchip")];
        let best = null, least = Infinity;
        for (const node of nodes) {
            const box = node.getBoundingClientRect(), x = (box.left + box.right) / 2, y = (box.top + box.bottom) / 2;
            const far = Math.abs(event.clientX - x) + 4 * Math.max(0, Math.abs(event.clientY - y) - box.height / 2);
            if (far < least) { least = far; best = {node, side: event.clientX < x ? "before" : "after"}; }
        }
        return best;
    }

    function drops(list, row) {
        list.addEventListener("dragover", (event) => {
            if (mine.dragged === null) return;
            event.preventDefault();
            const found = place(list, event);
            if (found) marked(found.node, found.side);
        });
        list.addEventListener("drop", (event) => {
            if (mine.dragged === null) return;
            event.preventDefault();
            const found = place(list, event), from = mine.dragged;
            mine.dragged = null;
            marked(null);
            if (found) moved(row, from, Number(found.node.dataset.place) + (found.side === "after" ? 1 : 0));
        });
    }

    function key(event, row, at) {
        if (event.target.closest("input") || event.ctrlKey || event.metaKey) return;
        const last = row.tags.length - 1, acts = {
            ArrowLeft: () => (event.altKey ? at > 0 && moved(row, at, at - 1) : focus(Math.max(0, at - 1))),
            ArrowRight: () => (event.altKey ? at < last && moved(row, at, at + 2) : at < last ? focus(at + 1) : focus("field")),
            Home: () => (event.altKey ? moved(row, at, 0) : focus(0)),
            End: () => (event.altKey ? moved(row, at, last + 1) : focus(last)),
            Delete: () => removed(row, at),
            Backspace: () => removed(row, at),
            Enter: () => edit(row, at),
            F2: () => edit(row, at),
            Insert: () => { mine.at = at; draw(); focus("field"); },
        };
        if (!acts[event.key]) return;
        event.preventDefault();
        event.stopPropagation();
        acts[event.key]();
    }

    const within = (what) => mine.place.querySelector({field: `#${ID}newtag`, text: `#${ID}captiontext`}[what] || `[data-place="${what}"]`);

    function focus(what) {
        const node = within(what);
        if (node) node.focus();
    }

    // What has the focus now, so that it can have it again when the chips are drawn anew.
    function held() {
        const now = document.activeElement, list = byId("tagchips") || byId("captiontext");
        if (!now || !list || !list.contains(now) || list.dataset.key !== mine.row.key) return null;
        if (now === list) return {what: "text", text: now.value};
        return now.id === `${ID}newtag` ? {what: "field"} : {what: (now.closest("[data-place]") || {dataset: {place: "field"}}).dataset.place};
    }

    // A chip becomes a field; Enter keeps what is written, Escape leaves it.
    function edit(row, at) {
        const node = document.querySelector(`#${ID}tagchips [data-place="${at}"]`), field = el("input", {type: "text", class: "lora_studio_ds_input", "aria-label": t("Tag")});
        const first = row.tags[at];
        const end = (keep) => {
            if (mine.editing !== field) return;
            mine.editing = null;
            mine.focus = at;
            const {tags} = mine.row, now = tags[at] === first ? at : tags.indexOf(first);
            if (keep && now >= 0 && field.value.trim() !== first) write(mine.row, [...tags.slice(0, now), ...cut(field.value), ...tags.slice(now + 1)]);
            else draw();
        };
        field.value = row.tags[at];
        const offering = captions.completing(field, (tag) => { field.value = tag; end(true); });
        field.addEventListener("keydown", (event) => {
            if (event.isComposing || event.keyCode === 229) return;
            if (event.key === "Enter" || event.key === "Escape") { event.preventDefault(); event.stopPropagation(); end(event.key === "Enter"); }
        });
        field.addEventListener("blur", () => { if (!mine.moving) end(true); });
        mine.editing = field;
        node.draggable = false;
        node.replaceChildren(offering);
        field.focus();
        field.select();
    }

    // One and the same field while a picture is shown: what is being typed and offered outlives chips that are drawn anew.
    function adding() {
        if (!mine.adder) {
            const field = el("input", {type: "text", id: `${ID}newtag`, class: "lora_studio_ds_input", spellcheck: "false", placeholder: t("Add a tag")});
            // The offers hear the keys first: Enter takes the one that is marked.
            mine.adder = el("li", {class: "lora_studio_ds_adding"}, captions.completing(field, (tag) => { field.value = ""; inserted(mine.row, tag); }));
            field.addEventListener("keydown", (event) => added(event, field));
        }
        mine.adder.querySelector("input").setAttribute("aria-label", mine.at === null ? t("Add a tag at the end") : t("Add a tag here"));
        return mine.adder;
    }

    function added(event, field) {
        if (event.isComposing || event.keyCode === 229) return;
        if (event.key === "Enter" && field.value.trim()) {
            event.preventDefault();
            const text = field.value;
            field.value = "";
            inserted(mine.row, text);
        } else if (event.key === "Backspace" && !field.value && mine.row.tags.length) {
            event.preventDefault();
            focus((mine.at === null ? mine.row.tags.length : mine.at) - 1);
        } else if (event.key === "Escape" && mine.at !== null) {
            event.stopPropagation();
            mine.at = null;
            mine.focus = "field";
            draw();
        }
    }

    function list(row) {
        const nodes = row.tags.map((tag, at) => chip(row, tag, at));
        nodes.splice(mine.at === null ? nodes.length : mine.at, 0, adding());
        const found = el("ul", {id: `${ID}tagchips`, class: "lora_studio_ds_tagchips", "aria-label": t("Tags of this picture"), "data-key": row.key}, nodes);
        if (nodes.length > 1) nodes[0].tabIndex = nodes[0].dataset.place === undefined ? -1 : 0;
        drops(found, row);
        return found;
    }

    // ---- the caption as text

    function whole(row) {
        const field = el("textarea", {id: `${ID}captiontext`, class: "lora_studio_ds_input", rows: 5, spellcheck: "false", "aria-label": t("Caption"), "data-key": row.key});
        // Enter keeps it, and leaving the field right after that would once more, on a caption that is no longer there.
        let sent = row.caption;
        const keep = () => {
            const before = sent, text = field.value.trim();
            if (text === before) return;
            sent = text;
            captions.act({kind: "set", text: field.value, whole: true}, {keys: [row.key]}, before);
        };
        field.value = row.caption;
        field.addEventListener("change", keep);
        field.addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) { event.preventDefault(); keep(); } });
        return field;
    }

    // ---- drawing

    // A chip that is being changed is not drawn anew: what is there goes to the new place as it is.
    function carried(before) {
        const field = mine.editing, ends = [field.selectionStart, field.selectionEnd];
        mine.moving = true;
        mine.place.replaceChildren(...before.childNodes);
        queueMicrotask(() => { field.focus(); field.setSelectionRange(...ends); mine.moving = false; });
    }

    function draw(place, row) {
        const before = mine.place;
        if (place) Object.assign(mine, {place, row: mine.pending && row.key === mine.key ? {...row, tags: mine.row.tags, caption: mine.row.caption} : row});
        if (!mine.place || !mine.row) return;
        if (mine.key !== mine.row.key) Object.assign(mine, {key: mine.row.key, at: null, adder: null, editing: null});
        if (mine.row.flaw) return mine.place.replaceChildren();
        if (mine.editing) return before === mine.place ? undefined : carried(before);
        const {tokens} = mine.row, over = tokens > CHUNK;
        const count = tokens === undefined ? "" : t("{n} / 75 tokens", {n: `${captions.edits.exact ? "" : "≈"}${number(tokens)}`});
        const turn = el("button", {type: "button", class: "lora_studio_link", id: `${ID}astext`, on: {click: () => { mine.text = !mine.text; api.keep(KEPT, mine.text); draw(); }}}, mine.text ? t("Show as tags") : t("Show as text"));
        const nobody = !mine.row.tags.length && !mine.text && el("p", {class: "lora_studio_ds_help"}, t("No caption yet. Write tags here, or let a tagger do it."));
        // Whoever writes here when the row comes anew goes on writing.
        const next = mine.focus === null ? held() : {what: mine.focus};
        mine.focus = null;
        mine.place.replaceChildren(...[
            el("p", {class: "lora_studio_ds_captionhead"}, el("strong", {}, t("Caption")), el("span", {id: `${ID}tokens`, class: over ? "lora_studio_ds_over" : "", title: over ? t("A text encoder reads 75 tokens at once; later ones weigh less.") : ""}, data(count)), turn),
            nobody, mine.text ? whole(mine.row) : list(mine.row),
        ].filter(Boolean));
        // The place is put into the page after this: only then it can have the focus.
        if (next) queueMicrotask(() => { focus(next.what); if (next.what === "text" && within("text")) within("text").value = next.text; });
        return undefined;
    }

    captions.chips = {draw};
    api.detail("tags", 10, (place, row) => draw(place, row));
})();
