// The Dataset page's frame: path box, steps, three columns, foot bar, keys. What stands in them is drawn by the parts.
(() => {
    "use strict";
    const api = window.loraStudioDataset;
    if (!api || api.frame.draw) return;

    const STEP = "step", ID = "lora_studio_ds_", RETRY = 5000, TRIES = 6, LEAST = 520, BELOW = 12;
    const {state, el, t, data, parts} = api;
    const byId = (id) => document.getElementById(ID + id);

    // ---- the parts of the page

    function head() {
        const recent = api.kept("recent") || [];
        const path = el("input", {
            type: "text", id: `${ID}path`, class: "lora_studio_ds_input", list: `${ID}recent`, spellcheck: "false", autocomplete: "off",
            placeholder: t("Path of a folder, e.g. D:\\pictures\\my character"), "aria-label": t("Where are your pictures?"),
        });
        path.value = api.kept("folder") || "";
        const go = el("button", {type: "submit", id: `${ID}open`, class: "lora_studio_button lora_studio_primary"}, t("Open"));
        const submit = (event) => { event.preventDefault(); api.attempt(() => reading(path.value, () => api.open(path.value)), go); };
        return el("div", {class: "lora_studio_ds_head"},
            el("form", {class: "lora_studio_ds_open", on: {submit}}, path, el("datalist", {id: `${ID}recent`}, recent.map((one) => el("option", {value: one}))), go),
            el("p", {class: "lora_studio_ds_licence"}, t("Use only pictures whose licence allows training, respect what the artist asks for, and never turn the result against them.")));
    }

    function welcome() {
        const lines = [
            [t("Open your folder"), t("Any folder with pictures, with or without folders inside. Nothing in it is moved, renamed or overwritten without being asked for.")],
            [t("Sort"), t("Every picture gets a class: face close-up, main visual, full body or discard. What was guessed wrong is put right by a key or by dragging.")],
            [t("Describe"), t("A tagger writes the tags, you take away what the LoRA should learn as one thing and put its trigger word first.")],
            [t("Balance and train"), t("The repeats are computed from your classes, crops and folders are prepared as a copy, and Train gets the result.")],
        ];
        return el("div", {class: "lora_studio_welcome", "data-state": "empty"}, el("h3", {}, t("From a folder of pictures to a training set")),
            el("ol", {}, lines.map(([title, text]) => el("li", {}, el("strong", {}, title), el("span", {}, text)))));
    }

    function skeleton(mount) {
        const part = (id, more, ...children) => el("div", {id: ID + id, ...more}, ...children);
        mount.replaceChildren(
            head(), part("notes", {class: "lora_studio_ds_notes"}), part("tasks"), part("reading", {hidden: true, role: "status", class: "lora_studio_message"}), part("welcome", {}, welcome()),
            part("work", {hidden: true},
                part("steps", {class: "lora_studio_ds_steps", role: "tablist", "aria-label": t("Steps")}),
                part("columns", {class: "lora_studio_ds_columns"},
                    part("left", {class: "lora_studio_ds_left"}, part("narrowed", {class: "lora_studio_ds_narrowed", role: "status", hidden: true})), part("middle", {class: "lora_studio_ds_middle"}), part("right", {class: "lora_studio_ds_right"})),
                part("foot", {class: "lora_studio_ds_foot"})));
        api.gallery.build(byId("middle"));
        api.picture.build(byId("right"));
        byId("steps").addEventListener("keydown", stepped);
        // A click beside everything still leaves the keys working.
        mount.tabIndex = -1;
        steps();
        window.addEventListener("resize", fit);
        window.addEventListener("scroll", afloat, {passive: true});
        new ResizeObserver(() => requestAnimationFrame(fit)).observe(mount);
    }

    // The columns end where the foot begins, so that the end of each can be scrolled to without scrolling the page.
    function fit() {
        const columns = byId("columns");
        if (!columns || !columns.offsetParent) return;
        const top = columns.getBoundingClientRect().top + document.documentElement.scrollTop;
        const room = `${Math.max(LEAST, Math.floor(window.innerHeight - top - byId("foot").offsetHeight - BELOW))}px`;
        if (columns.style.getPropertyValue("--lora_studio-room") !== room) columns.style.setProperty("--lora_studio-room", room);
        afloat();
    }

    // Notes end above the foot, wherever the page is scrolled to.
    function afloat() {
        const foot = byId("foot");
        if (foot && foot.offsetParent) document.getElementById("lora_studio_dataset").style.setProperty("--lora_studio-foot", `${Math.max(0, window.innerHeight - foot.getBoundingClientRect().top)}px`);
    }

    // ---- steps

    function steps() {
        if (!byId("steps")) return;
        for (const panel of parts.panels) {
            if (byId(`panel_${panel.name}`)) continue;
            byId("left").append(el("section", {id: `${ID}panel_${panel.name}`, class: "lora_studio_ds_panel", role: "tabpanel", hidden: true, "aria-labelledby": `${ID}step_${panel.name}`}));
            byId("steps").append(el("button", {type: "button", role: "tab", id: `${ID}step_${panel.name}`, class: "lora_studio_ds_step", "aria-controls": `${ID}panel_${panel.name}`, on: {click: () => show(panel.name)}}, panel.title()));
        }
        byId("steps").append(...parts.panels.map((panel) => byId(`step_${panel.name}`)));
        show(api.kept(STEP));
    }

    function show(name) {
        const chosen = parts.panels.find((one) => one.name === name) || parts.panels[0];
        if (!chosen) return;
        if (name === chosen.name) api.keep(STEP, name);
        for (const one of parts.panels) {
            byId(`panel_${one.name}`).hidden = one !== chosen;
            byId(`step_${one.name}`).setAttribute("aria-selected", String(one === chosen));
            byId(`step_${one.name}`).tabIndex = one === chosen ? 0 : -1;
        }
        if (!state.set) return;
        if (!chosen.built) {
            chosen.built = true;
            chosen.build(byId(`panel_${chosen.name}`), api);
        }
        if (chosen.shown) chosen.shown();
        api.shared.changed("shown");
    }

    function stepped(event) {
        const by = {ArrowRight: 1, ArrowLeft: -1}[event.key], all = parts.panels, now = all.findIndex((one) => byId(`step_${one.name}`) === event.target);
        if (!by || now < 0) return;
        event.preventDefault();
        const next = all[(now + by + all.length) % all.length];
        show(next.name);
        byId(`step_${next.name}`).focus();
    }

    function feet() {
        if (!byId("foot") || !state.set) return;
        for (const part of parts.feet.filter((one) => !one.built)) {
            part.built = el("div", {class: "lora_studio_ds_footpart", "data-part": part.name});
            part.heard = part.build(part.built, api) || null;
        }
        byId("foot").append(...parts.feet.map((part) => part.built));
    }

    function draw() {
        const open = Boolean(state.set);
        document.getElementById("lora_studio_dataset").toggleAttribute("data-open", open);
        byId("welcome").hidden = open;
        byId("work").hidden = !open;
        byId("path").value = state.root || byId("path").value;
        byId("recent").replaceChildren(...(api.kept("recent") || []).map((one) => el("option", {value: one})));
        if (!open) return;
        show(api.kept(STEP));
        feet();
    }

    // ---- keys: what a step or a field does not take itself

    const typing = (target) => target.closest("input:not([type=checkbox]):not([type=radio]):not([type=range]), textarea, select, [contenteditable]");

    function keys(event) {
        if (event.isComposing || event.keyCode === 229) return;
        const letter = event.key.toLowerCase();
        // The WebUI's own shortcuts look for a Generate button, which this tab has not.
        if (event.key === "Escape" || (event.key === "Enter" && (event.ctrlKey || event.metaKey || event.altKey))) event.stopPropagation();
        if (!state.set || event.defaultPrevented || typing(event.target)) return;
        if ((event.ctrlKey || event.metaKey) && (letter === "z" || letter === "y")) {
            event.preventDefault();
            if (letter === "y" || event.shiftKey) api.history.redo();
            else api.history.undo();
            return;
        }
        api.gallery.key(event);
    }

    // ---- life

    // Thousands of pictures take a moment: the page says what it waits for.
    async function reading(folder, work) {
        byId("reading").textContent = data(t("Reading {folder} …", {folder}));
        byId("reading").hidden = false;
        byId("welcome").hidden = true;
        try {
            return await work();
        } finally {
            byId("reading").hidden = true;
            byId("welcome").hidden = Boolean(state.set);
        }
    }

    // The folder of last time. A server that is just starting has the page before it has the routes, and must not be hurried.
    async function reopen(folder, tries) {
        try {
            await api.open(folder);
        } catch (error) {
            const starting = error.status === undefined || error.status === 404;
            if (!starting || !tries) throw error;
            await new Promise((go) => setTimeout(go, RETRY * (1 + Math.random() / 4)));
            await reopen(folder, tries - 1);
        }
    }

    const complete = () => window.loraStudioView && api.fields.text && api.gallery.build && api.picture.build && api.shared;

    function ready() {
        const mount = document.getElementById("lora_studio_dataset");
        if (!mount || mount.dataset.ready || !complete()) return;
        mount.dataset.ready = "1";
        skeleton(mount);
        mount.addEventListener("keydown", keys);
        // Where nothing has the focus Escape would reach the WebUI, which looks for a button of its own pages.
        document.addEventListener("keydown", (event) => { if (event.target === document.body && event.key === "Escape" && mount.offsetParent) keys(event); }, true);
        // A button that rests while it works loses the focus: Ctrl+Z is still meant for this page.
        document.addEventListener("keydown", (event) => { if (event.target === document.body && mount.offsetParent && (event.ctrlKey || event.metaKey) && /^[zy]$/i.test(event.key)) keys(event); });
        const folder = api.kept("folder");
        if (folder) api.attempt(() => reading(folder, () => reopen(folder, TRIES))).then(() => api.resume());
    }

    Object.assign(api.frame, {steps, show, feet, draw});
    api.foot("history", 10, (box) => {
        const button = (text, how, title) => el("button", {type: "button", class: "lora_studio_button", title, id: `${ID}${how}`, on: {click: () => api.history[how]()}}, text);
        const undo = button(t("Undo"), "undo", t("Ctrl+Z")), redo = button(t("Redo"), "redo", t("Ctrl+Y"));
        const rest = () => { const can = api.history.can(); undo.disabled = !can.undo; redo.disabled = !can.redo; };
        box.append(undo, redo);
        rest();
        return {changed: (what) => ["history", "edits", "set"].includes(what) && rest()};
    });
    new MutationObserver(ready).observe(document.documentElement, {childList: true, subtree: true});
    ready();
})();
