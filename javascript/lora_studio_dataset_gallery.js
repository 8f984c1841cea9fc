// The Dataset page's gallery: a page of thumbnails at a time, chosen and picked by mouse and keys, dragged onto classes.
// A click chooses a picture (it is shown large); Ctrl, Shift or Space pick several, and what is done then is done to those.
(() => {
    "use strict";
    const api = window.loraStudioDataset;
    if (!api || api.gallery.build) return;

    const PAGE = 100, ID = "lora_studio_ds_", SOONEST = 2500, SORTS = "sort";
    const {state, el, t, data, number} = api;
    const byId = (id) => document.getElementById(ID + id);
    const list = {offset: 0, sort: "name", descending: false, asked: 0, stop: null, timer: 0, version: null, moved: null, anchor: "", ...(api.kept(SORTS) || {})};
    const kinds = () => [["face", t("Face close-up")], ["main", t("Main visual")], ["full", t("Full body")], ["discard", t("Discard")]];
    const kindName = (kind) => (kinds().find(([name]) => name === kind) || ["", t("No class")])[1];
    const row = (key) => state.rows.find((one) => one.key === key);
    const tile = (key) => byId("grid").querySelector(`[data-key="${CSS.escape(key)}"]`);
    // What a key or a button works on: the picked ones, or the one that is shown large.
    const meant = () => (state.picked.size ? [...state.picked] : state.chosen ? [state.chosen] : []);

    // ---- frame

    function build(box) {
        const sorts = [
            ["name", t("Name")], ["folder", t("Folder")], ["kind", t("Class")], ["changed", t("Changed")], ["size", t("Size")], ["lost", t("Cut off")], ["tokens", t("Length of caption")],
        ];
        const select = api.fields.select({name: t("Sort by"), options: sorts, value: list.sort, id: `${ID}sort`, change: (value) => sorted({sort: value})});
        const turn = el("button", {type: "button", class: "lora_studio_button lora_studio_ds_small", id: `${ID}descending`, "aria-label": t("Turn the order round"), title: t("Turn the order round"), on: {click: () => sorted({descending: !list.descending})}}, list.descending ? "↓" : "↑");
        const grid = el("div", {id: `${ID}grid`, class: "lora_studio_ds_grid", role: "listbox", "aria-multiselectable": "true", "aria-label": t("Pictures")});
        box.append(
            el("div", {class: "lora_studio_ds_bar"}, el("span", {id: `${ID}count`, role: "status"}), el("span", {class: "lora_studio_ds_gap"}), select, turn, el("span", {id: `${ID}pages`, class: "lora_studio_ds_pages"})),
            el("div", {id: `${ID}chips`, class: "lora_studio_ds_chips"}), el("div", {id: `${ID}picks`, class: "lora_studio_ds_picks"}), grid);
        grid.addEventListener("click", clicked);
        grid.addEventListener("dragstart", dragged);
        // The tile may leave the grid while it is dragged, and hears nothing of the end then: the page does.
        for (const end of ["dragend", "drop", "mousedown"]) document.addEventListener(end, dropped);
        picks();
    }

    function sorted(how) {
        Object.assign(list, how);
        api.keep(SORTS, {sort: list.sort, descending: list.descending});
        byId("descending").textContent = list.descending ? "↓" : "↑";
        return load(0);
    }

    // ---- rows

    async function load(offset, then) {
        if (!state.set) return;
        if (offset !== undefined) list.offset = offset;
        if (list.stop) list.stop.abort();
        list.stop = new AbortController();
        const mine = ++list.asked;
        const asked = {where: state.where, sort: list.sort, descending: list.descending, offset: list.offset, limit: PAGE, resolution: state.resolution};
        let found;
        try {
            found = await api.post("dataset/view", asked, list.stop.signal);
        } catch (error) {
            if (error.name !== "AbortError" && mine === list.asked) api.say("error", error.message);
            return;
        }
        if (mine !== list.asked) return;
        // A page that is empty now (its pictures left the filter): the last one that is there.
        if (!found.rows.length && found.total && list.offset) return load(Math.floor((found.total - 1) / PAGE) * PAGE, then);
        const {rows, resolution, ...more} = found;
        for (const one of rows) Object.assign(one, {thumb: api.base(one.thumb), picture: api.base(one.picture)});
        Object.assign(state, {rows, ...more, shownFor: resolution});
        list.version = found.version;
        const there = new Set(rows.map((one) => one.key));
        if (state.chosen && !there.has(state.chosen)) state.chosen = rows.length ? rows[Math.min(list.place || 0, rows.length - 1)].key : "";
        draw();
        if (then) then();
        api.tell("rows");
        watch();
    }

    // While pixels are looked at in the background the page follows, but never faster than somebody can read.
    function watch() {
        clearTimeout(list.timer);
        list.timer = setTimeout(async () => {
            const mount = document.getElementById("lora_studio_dataset");
            if (document.hidden || !mount.offsetParent) return watch();
            const found = await api.get("dataset/progress").catch(() => null);
            if (!found) return watch();
            state.analysis = found;
            api.tell("progress");
            if (found.version !== list.version) return load();
            return found.settled ? undefined : watch();
        }, SOONEST);
    }

    // ---- drawing: tiles are kept while their row stays the same, so that nothing flickers

    function draw() {
        const grid = byId("grid"), old = new Map([...grid.children].map((node) => [node.dataset.key, node]));
        const tiles = state.rows.map((one) => {
            const text = JSON.stringify(one), before = old.get(one.key);
            return before && before.row === text ? before : drawn(one, text);
        });
        if (!tiles.length) tiles.push(el("p", {class: "lora_studio_message"}, state.images ? t("No picture fits the filter.") : t("There are no pictures in this folder.")));
        settle(grid, tiles);
        grid.dataset.total = state.total;
        grid.dataset.offset = list.offset;
        marked();
        pages();
        chips();
    }

    // What goes goes first: what stays is then in order already and is not moved, so that focus and scroll stay.
    function settle(grid, tiles) {
        const held = grid.contains(document.activeElement), wanted = new Set(tiles);
        for (const node of [...grid.children]) if (!wanted.has(node)) node.remove();
        let at = grid.firstChild;
        for (const node of tiles) {
            if (node === at) at = at.nextSibling;
            else grid.insertBefore(node, at);
        }
        if (held && !grid.contains(document.activeElement) && state.chosen && tile(state.chosen)) tile(state.chosen).focus({preventScroll: true});
    }

    function drawn(one, text) {
        const flags = one.flags || [], kind = one.kind || {};
        const picture = one.flaw ? el("span", {class: "lora_studio_ds_broken"}, t("Cannot be read"))
            : el("img", {src: one.thumb, alt: "", loading: "lazy", decoding: "async", draggable: "false", width: 128, height: 128});
        const node = el("figure", {class: "lora_studio_ds_tile", "data-key": one.key, "data-kind": kind.name || "none", role: "option", tabindex: "-1", draggable: "true", title: [one.key, ...flags.map((flag) => flag.text)].join("\n"), "aria-label": `${one.name}, ${kindName(kind.name)}`},
            picture, el("span", {class: "lora_studio_ds_tick", "aria-hidden": "true"}),
            flags.length > 0 && el("span", {class: "lora_studio_ds_flags"}, flags.map((flag, place) => el("span", {class: "lora_studio_ds_flag", "data-flag": flag.kind, "data-more": place ? "1" : undefined}, flagName(flag.kind)))),
            el("figcaption", {}, el("span", {class: "lora_studio_ds_kind", "data-kind": kind.name || "none"}, kindName(kind.name)), one.changed && el("span", {class: "lora_studio_ds_changed", title: t("The caption is changed and not saved yet")}, "●")));
        node.row = text;
        return node;
    }

    const NAMES = {
        grey: () => t("grey"), tinted: () => t("tinted"), bars: () => t("bars"), exact: () => t("same"), near: () => t("alike"), flip: () => t("flipped"), group: () => t("group"),
        outlier: () => t("outlier"), cropped: () => t("cut off"), small: () => t("small"), no_caption: () => t("no caption"), flaw: () => t("broken"), lint: () => t("caption?"), animated: () => t("animated"),
    };
    const flagName = (flag) => (NAMES[flag] ? NAMES[flag]() : data(flag));

    function marked() {
        for (const node of byId("grid").querySelectorAll("figure")) {
            const picked = state.picked.has(node.dataset.key), chosen = node.dataset.key === state.chosen;
            node.setAttribute("aria-selected", String(picked));
            node.toggleAttribute("data-chosen", chosen);
            node.tabIndex = chosen ? 0 : -1;
        }
        if (!state.chosen && state.rows.length) tile(state.rows[0].key).tabIndex = 0;
        list.place = state.rows.findIndex((one) => one.key === state.chosen);
    }

    function pages() {
        const last = Math.min(list.offset + PAGE, state.total), button = (text, label, offset, there) =>
            el("button", {type: "button", class: "lora_studio_button lora_studio_ds_small", "aria-label": label, title: label, disabled: !there, on: {click: () => turned(offset)}}, text);
        byId("count").textContent = data(state.total > PAGE ? t("{first}–{last} of {total} pictures", {first: number(list.offset + 1), last: number(last), total: number(state.total)})
            : t("{n} of {total} pictures", {n: number(state.total), total: number(state.images)}));
        byId("pages").replaceChildren(button("‹", t("Page before"), list.offset - PAGE, list.offset > 0), button("›", t("Next page"), list.offset + PAGE, last < state.total));
    }

    function turned(offset) {
        return load(offset, () => { byId("grid").scrollTop = 0; byId("middle").scrollTop = 0; });
    }

    // What narrows the view, each with a way to take it back.
    function filters() {
        const chip = (text, where) => el("button", {type: "button", class: "lora_studio_ds_chip", title: t("Take this filter away"), on: {click: () => api.narrow(where)}}, data(text), el("span", {"aria-hidden": "true"}, " ×"));
        const {where} = state, found = [];
        if (where.folder) found.push(chip(where.folder, {folder: null}));
        if (where.kind) found.push(chip(kindName(where.kind === "none" ? "" : where.kind), {kind: null}));
        if (where.flag) found.push(chip(flagName(where.flag), {flag: null}));
        for (const name of ["all", "any", "none"]) for (const tag of where[name]) found.push(chip(name === "none" ? `− ${tag}` : tag, {[name]: where[name].filter((one) => one !== tag)}));
        if (where.search.text) found.push(chip(`“${where.search.text}”`, {search: null}));
        if (where.keys) found.push(chip(t("{n} pictures", {n: number(where.keys.length)}), {keys: null}));
        if (where.changed) found.push(chip(t("Changed"), {changed: null}));
        return found;
    }

    const chips = () => byId("chips").replaceChildren(...filters());

    function picks() {
        const some = meant().length, act = (words, label, go) => el("button", {type: "button", class: "lora_studio_button lora_studio_ds_small", title: label, disabled: !some, on: {click: go}}, words);
        const dot = (kind) => el("span", {class: "lora_studio_ds_dot", "data-kind": kind, "aria-hidden": "true"});
        byId("picks").replaceChildren(...[
            el("span", {id: `${ID}picked`}, data(state.picked.size ? t("{n} picked:", {n: number(state.picked.size)}) : t("This one:"))),
            ...kinds().map(([kind, name], place) => act([dot(kind), String(place + 1), el("span", {class: "lora_studio_ds_longer"}, ` ${name}`)], data(`${name} · ${t("Key {n}", {n: place + 1})}`), () => classify(kind, meant()))),
            act(t("To the trash"), t("Key Delete; Ctrl+Z brings it back"), () => trash()),
            el("span", {class: "lora_studio_ds_gap"}),
            el("button", {type: "button", class: "lora_studio_link", title: t("Ctrl+A"), on: {click: () => api.pick(state.rows.map((one) => one.key))}}, t("Pick this page")),
            state.picked.size > 0 && el("button", {type: "button", class: "lora_studio_link", title: t("Esc"), on: {click: () => api.pick([])}}, t("Pick none")),
        ].filter(Boolean));
    }

    // ---- mouse

    function clicked(event) {
        const node = event.target.closest("figure");
        if (!node) return;
        const key = node.dataset.key;
        if (event.shiftKey && (list.anchor || state.chosen)) range(list.anchor || state.chosen, key, event.ctrlKey || event.metaKey);
        else if (event.ctrlKey || event.metaKey || event.target.closest(".lora_studio_ds_tick")) toggle(key);
        if (!event.shiftKey) list.anchor = key;
        api.choose(key);
        node.focus({preventScroll: true});
    }

    function toggle(key) {
        const next = new Set(state.picked);
        if (!next.delete(key)) next.add(key);
        api.pick(next);
    }

    function range(from, to, more) {
        const keys = state.rows.map((one) => one.key), ends = [keys.indexOf(from), keys.indexOf(to)].sort((one, other) => one - other);
        api.pick([...(more ? state.picked : []), ...keys.slice(Math.max(0, ends[0]), ends[1] + 1)]);
    }

    function dragged(event) {
        const node = event.target.closest("figure");
        if (!node) return;
        list.dragged = state.picked.has(node.dataset.key) ? [...state.picked] : [node.dataset.key];
        event.dataTransfer.effectAllowed = "move";
        event.dataTransfer.setData("text/plain", list.dragged.join("\n"));
        document.body.classList.add("lora_studio_ds_dragging");
    }

    function dropped() {
        list.dragged = null;
        document.body.classList.remove("lora_studio_ds_dragging");
    }

    // A place that takes dragged pictures: `act` gets their keys.
    function target(node, act) {
        const over = (is) => node.toggleAttribute("data-over", is);
        node.addEventListener("dragover", (event) => { if (list.dragged) { event.preventDefault(); over(true); } });
        node.addEventListener("dragleave", () => over(false));
        node.addEventListener("drop", (event) => { event.preventDefault(); over(false); if (list.dragged) act(list.dragged); dropped(); });
    }

    // ---- keys

    function key(event) {
        const act = keyed(event);
        if (!act) return;
        event.preventDefault();
        act();
    }

    function keyed(event) {
        if (event.altKey) return null;
        const inside = !event.target.closest("[role=tab], summary, input");
        if (event.ctrlKey || event.metaKey) return event.key.toLowerCase() === "a" && inside ? () => api.pick(state.rows.map((one) => one.key)) : null;
        if (event.key === "Escape") return state.picked.size ? () => api.pick([]) : null;
        if (!inside) return null;
        const kind = kinds()[Number(event.key) - 1];
        if (kind && meant().length) return () => classify(kind[0], meant(), !state.picked.size);
        const steps = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(), ArrowUp: -columns(), Home: -Infinity, End: Infinity};
        const grid = event.target.closest(`#${ID}grid`);
        if (event.key in steps && (grid || event.key === "ArrowLeft" || event.key === "ArrowRight")) return () => move(steps[event.key], event.shiftKey);
        if (event.key === "PageDown" && grid && list.offset + PAGE < state.total) return () => turned(list.offset + PAGE);
        if (event.key === "PageUp" && grid && list.offset) return () => turned(list.offset - PAGE);
        if (event.key === " " && grid && state.chosen) return () => { list.anchor = state.chosen; toggle(state.chosen); };
        if (event.key === "Delete" && meant().length) return () => trash();
        return null;
    }

    const columns = () => Math.max(1, getComputedStyle(byId("grid")).gridTemplateColumns.split(" ").length);

    function move(by, picking) {
        const now = state.rows.findIndex((one) => one.key === state.chosen), wanted = now < 0 ? 0 : now + by;
        if (wanted >= state.rows.length && by === 1 && list.offset + PAGE < state.total) return load(list.offset + PAGE, () => arrive(0));
        if (wanted < 0 && by === -1 && list.offset) return load(list.offset - PAGE, () => arrive(PAGE - 1));
        const from = list.anchor || state.chosen;
        arrive(Math.min(state.rows.length - 1, Math.max(0, wanted)));
        if (picking && from) range(from, state.chosen);
        else list.anchor = state.chosen;
        return undefined;
    }

    function arrive(place) {
        if (!state.rows[place]) return;
        api.choose(state.rows[place].key);
        tile(state.chosen).focus({preventScroll: true});
        tile(state.chosen).scrollIntoView({block: "nearest"});
    }

    // ---- acts, each of which can be taken back

    // Seen at once, so that the next key means the next picture; sent in the order of the keys.
    function classify(kind, keys, onward) {
        for (const one of state.rows.filter((found) => keys.includes(found.key))) one.kind = {name: kind || "", confidence: 1, why: "", by: "hand"};
        draw();
        if (onward) move(1);
        api.tell("rows");
        const send = (marks) => api.post("dataset/kind", marks).then((answer) => api.changed("classes").then(() => answer));
        return api.inTurn(async () => {
            const answer = await api.attempt(() => api.post("dataset/kind", {keys, kind}));
            if (answer) api.did({text: t("Class"), undo: () => send({before: answer.before}), redo: () => send({keys, kind})});
            api.changed("classes");
        });
    }

    function trash(some) {
        const keys = some || meant();
        return api.inTurn(() => api.attempt(async () => {
            let found = await api.post("dataset/trash", {keys});
            const gone = async () => { state.picked.clear(); state.images = found.images; await api.changed("folders"); };
            api.did({
                text: t("To the trash"),
                undo: async () => { const back = await api.post("dataset/trash/undo", {trash: found.trash}); state.images = back.images; await api.changed("folders"); },
                redo: async () => { found = await api.post("dataset/trash", {keys}); await gone(); },
            });
            await gone();
            api.say("good", [found.told, ...found.problems].join("\n"), {label: t("Undo"), act: () => api.history.undo()});
        }));
    }

    function changed(what) {
        if (what === "chosen" || what === "picked" || what === "rows") {
            marked();
            picks();
        }
        if (what === "where") list.offset = 0;
        if (what === "chosen" && state.chosen && tile(state.chosen)) tile(state.chosen).scrollIntoView({block: "nearest"});
    }

    Object.assign(api.gallery, {build, load, changed, key, target, classify, trash, filters, kinds, kindName, flagName, row, meant});
})();
