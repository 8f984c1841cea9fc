// The list of tags: how many of the shown pictures have each. A click shows only pictures with a tag, a right click those without.
(() => {
    "use strict";
    const api = window.loraStudioDataset, captions = api && api.captions;
    if (!captions || captions.table) return;

    const ID = "lora_studio_ds_", PAGE = 200, TYPING = 200, KEPT = "tags";
    const {state, el, t, data, number} = api;
    const byId = captions.byId;
    const mine = {asked: 0, limit: PAGE, rows: [], total: 0, images: 0, exact: false, timer: 0, text: "", ...{sort: "frequency", descending: true, mode: "plain", ...(api.kept(KEPT) || {})}};

    const filtered = () => [...state.where.all, ...state.where.any, ...state.where.none];
    const keepSort = () => api.keep(KEPT, {sort: mine.sort, descending: mine.descending, mode: mine.mode});

    // ---- the server

    async function load() {
        if (!state.set || !captions.isOpen("table")) return;
        const turn = ++mine.asked, top = [...new Set([...filtered(), ...captions.selected])];
        const body = {...api.scope(), search: {text: mine.text, mode: mine.mode}, sort: mine.sort, descending: mine.descending, top, limit: mine.limit};
        const found = await api.attempt(() => api.post("dataset/tags", body));
        if (!found || turn !== mine.asked) return;
        captions.took(found);
        Object.assign(mine, {rows: found.tags, total: found.total, images: found.images, exact: found.exact});
        draw();
    }

    function soon() {
        clearTimeout(mine.timer);
        mine.timer = setTimeout(load, TYPING);
    }

    // ---- filters

    // One click: must have; another: no matter. With Shift or the right button: must not have. With Ctrl: one of these.
    function filter(tag, field) {
        const has = state.where[field].includes(tag), next = {};
        for (const name of ["all", "any", "none"]) next[name] = state.where[name].filter((one) => one !== tag);
        if (!has) next[field] = [...next[field], tag];
        return api.narrow(next);
    }

    function tick(tag, on) {
        const next = new Set(captions.selected);
        if (on) next.add(tag);
        else next.delete(tag);
        captions.select(next);
    }

    // ---- drawing

    function line(one) {
        const {all, any, none} = state.where, how = all.includes(one.tag) ? "all" : any.includes(one.tag) ? "any" : none.includes(one.tag) ? "none" : "";
        const signs = {all: ["+", t("must have it")], any: ["|", t("one of these")], none: ["−", t("must not have it")]};
        const box = el("input", {type: "checkbox", "aria-label": data(t("Pick {tag}", {tag: one.tag})), on: {change: (event) => tick(one.tag, event.target.checked)}});
        box.checked = captions.selected.has(one.tag);
        const click = (event) => filter(one.tag, event.shiftKey ? "none" : event.ctrlKey || event.metaKey ? "any" : "all");
        const menu = (event) => { event.preventDefault(); filter(one.tag, "none"); };
        const button = el("button", {type: "button", class: "lora_studio_ds_tag", "data-tag": one.tag, "data-how": how, "aria-pressed": String(Boolean(how)), title: data(how ? signs[how][1] : t("Click: only with it. Right click: only without it. Ctrl: one of several.")), on: {click, contextmenu: menu}},
            how && el("span", {class: "lora_studio_ds_sign", "aria-hidden": "true"}, data(signs[how][0])), el("span", {class: "lora_studio_ds_tagname"}, data(one.tag)),
            el("span", {class: "lora_studio_ds_number_of", title: data(t("{n} of the pictures shown, {all} of all", {n: number(one.count), all: number(one.all)}))}, number(one.count)),
            mine.sort === "tokens" && el("span", {class: "lora_studio_ds_tokens"}, data(`${mine.exact ? "" : "≈"}${one.tokens}`)));
        return el("li", {}, box, button);
    }

    function draw() {
        const list = byId("taglist"), held = list.contains(document.activeElement) && document.activeElement.closest("li");
        const of = held && [held.querySelector("button").dataset.tag, document.activeElement.localName, list.scrollTop];
        list.replaceChildren(...mine.rows.map(line));
        const next = of && list.querySelector(`li:has([data-tag="${CSS.escape(of[0])}"]) ${of[1]}`);
        if (next) next.focus({preventScroll: true});
        if (of) list.scrollTop = of[2];
        list.dataset.total = mine.total;
        list.dataset.asked = mine.asked;
        byId("tagcount").textContent = data(mine.total ? counted() : state.images ? t("No tags here. A tagger writes them, or you do: choose a picture and type.") : "");
        byId("tagmore").hidden = mine.rows.length >= mine.total;
        chosen();
    }

    function counted() {
        const values = {n: number(mine.total), images: number(mine.images)};
        if (mine.images === 1) return mine.total === 1 ? t("1 tag in 1 picture") : t("{n} tags in 1 picture", values);
        return mine.total === 1 ? t("1 tag in {images} pictures", values) : t("{n} tags in {images} pictures", values);
    }

    function chosen() {
        const n = captions.selected.size;
        byId("tagchosen").textContent = data(n ? t("{n} picked for changes", {n: number(n)}) : "");
        byId("tagnone").hidden = !n;
    }

    function build(box) {
        const search = api.fields.text({name: t("Search tags"), placeholder: t("Search tags"), id: `${ID}tagsearch`, typed: (text) => { mine.text = text; mine.limit = PAGE; soon(); }});
        const mode = api.fields.select({name: t("How to search"), id: `${ID}tagmode`, value: mine.mode, options: [["plain", t("anywhere")], ["prefix", t("begins with")], ["suffix", t("ends with")], ["regex", t("pattern (regex)")]], change: (value) => { mine.mode = value; keepSort(); load(); }});
        const sort = api.fields.select({name: t("Sort by"), id: `${ID}tagsort`, value: mine.sort, options: [["frequency", t("Frequency")], ["alphabet", t("Alphabet")], ["length", t("Length")], ["tokens", t("Tokens")]], change: (value) => { mine.sort = value; mine.descending = value !== "alphabet"; turn.textContent = arrow(); keepSort(); load(); }});
        const arrow = () => (mine.descending ? "↓" : "↑");
        const turn = el("button", {type: "button", class: "lora_studio_button lora_studio_ds_small", "aria-label": t("Turn the order round"), title: t("Turn the order round"), on: {click: () => { mine.descending = !mine.descending; turn.textContent = arrow(); keepSort(); load(); }}}, arrow());
        const pick = (tags) => captions.select(tags);
        box.append(
            el("div", {class: "lora_studio_ds_tagbar"}, search, mode, sort, turn),
            el("p", {class: "lora_studio_ds_help", id: `${ID}tagcount`, role: "status"}),
            el("ul", {id: `${ID}taglist`, class: "lora_studio_ds_taglist", "aria-label": t("Tags")}),
            el("p", {class: "lora_studio_ds_acts"},
                api.fields.button({id: `${ID}tagmore`, kind: "link", label: t("Show more"), act: () => { mine.limit = Math.min(500, mine.limit + PAGE); return load(); }}),
                api.fields.button({id: `${ID}tagall`, kind: "link", label: t("Pick all listed"), act: () => pick([...captions.selected, ...mine.rows.map((one) => one.tag)])}),
                api.fields.button({id: `${ID}tagnone`, kind: "link", label: t("Pick none"), act: () => pick([])}),
                el("span", {id: `${ID}tagchosen`, class: "lora_studio_ds_help", role: "status"})));
        byId("tagmore").hidden = true;
        chosen();
        load();
    }

    function heard(what) {
        if (what === "where") draw();
        if (["shown", "rows", "picked"].includes(what)) soon();
        if (what === "set") { mine.limit = PAGE; soon(); }
        if (what === "selected") {
            for (const node of byId("taglist").querySelectorAll("li")) node.querySelector("input").checked = captions.selected.has(node.querySelector("button").dataset.tag);
            chosen();
        }
    }

    captions.table = {load, filter};
    captions.part(0, "table", () => t("Tags"), build, heard);
})();
