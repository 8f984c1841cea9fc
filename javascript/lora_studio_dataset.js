// The Dataset page: state, and the way to the server. Frame, steps, gallery and picture are parts of their own which plug in
// here; each is a file lora_studio_dataset_<part>.js, loaded after this one, in any order among themselves.
//
// window.loraStudioDataset (called `api` below) is:
//   panel({name, title(), order, build(box, api), shown(), changed(what), tasks, narrowed})   a step on the left, `narrowed` where it works on what is shown. `title` is a function
//       (its words are known when the page is drawn); `build` runs once, when a folder is open and the step is first shown;
//       `shown` each time it is chosen; `changed` after something changed. `tasks`: {kind: {told(task), ended(task)}} are heard
//       again for a task that was running when the page was reloaded.
//   foot(name, order, build(box, api))      a place in the bar at the foot: 10 undo and redo, 30 save, 50 repeats, 90 send to Train; where
//              `build` returns {changed(what)}, that is told like a step
//   detail(name, order, draw(box, row, api))   a place below the large picture; drawn anew when another one is chosen or its row changed
//   state     {set, root, client, images, folders, problems, picked: Set of keys, chosen: key or "", where: {…}, total, rows: [row…],
//              kinds, flags, resolution (0: the loaded model's), shownFor, native}; read it, change it by the calls below
//   post(path, body), get(path, query)      the answer as an object; set, client and language are added; throws Error with the
//              server's sentence. A server that was restarted meanwhile is given the folder again first.
//   scope()        {keys: […]} when pictures are picked, else {where}: what an operation works on; `scopeCount()` how many these are
//   narrow(where)  changes some of the filter's fields ({kind: "face"}, {all: ["smile"]}; null takes one away) and shows the first page
//   pick(keys), choose(key)
//   refresh()      rows anew from the server (a promise)
//   changed(what)  tells all parts: "rows", "history", "edits", "progress", "picked", "chosen", "where", "captions", "tags", "classes", "groups", "repeats", "set", "folders", "trigger", "reg";
//              after "captions", "tags", "classes", "groups" and "folders" the rows are read anew by themselves
//   did({text, undo(), redo()})   an act for Ctrl+Z and the buttons; both functions may be async. `history.behind({undo, redo, can})` is asked
//              when nothing is left here; each resolves to false when there is nothing to take back; can() is {undo, redo}
//   inTurn(work)   runs an async act after those that are under way (Undo and Redo wait for it, too)
//   task(id, {title, told(task), ended(task)})   follows a task: a bar with Cancel in the page; `ended` gets every end (phase done,
//              cancelled, failed); a failure is said in the page by itself
//   say(kind, text, more)   a note over the page, kind "error", "warning" or "good"; `more` is {label, act} for a button; returns the node.
//              It goes when what it says is over: with the next act, with Undo, with another folder
//   attempt(work, button)   runs an async function; what it throws is said in the page, the button rests meanwhile
//   fields         text, number, slider, choice, tick, button, select (see lora_studio_dataset_fields.js)
//   el, t, data, number   the view's element builder, translator, mark for names that must not be translated, and number format
//   keep(name, value), kept(name)   what this browser remembers
//   address(path, query)    the address of a route; base(path) of one that has its query already (row.thumb, row.picture are addresses)
//   show(name)     chooses a step
(() => {
    "use strict";
    if (window.loraStudioDataset) return;

    const BASE = "lora-studio/v1/", FOLDER = "folder", RECENT = "recent", WHERE = "where", TASKS = "tasks", SEEN = 1500;
    const NOWHERE = {all: [], any: [], none: [], search: {text: "", mode: "plain"}, folder: "", kind: "", flag: "", keys: null, changed: false};
    const ROWS_ANEW = ["captions", "tags", "classes", "groups", "folders"];
    const panels = [], feet = [], details = [], past = [], future = [], behind = [], pasts = new Map();
    const byId = (id) => document.getElementById(id);
    const view = () => window.loraStudioView;
    const t = (text, values) => view().t(text, values);
    const el = (...parts) => view().el(...parts);

    // ---- what this browser remembers

    function keep(name, value) {
        try { localStorage.setItem(`lora_studio_dataset_${name}`, JSON.stringify(value)); } catch (error) { /* private window: nothing is kept */ }
    }

    function kept(name) {
        try { return JSON.parse(localStorage.getItem(`lora_studio_dataset_${name}`)); } catch (error) { return null; }
    }

    function client() {
        let found = kept("client");
        if (!found) {
            found = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
            keep("client", found);
        }
        return found;
    }

    const state = {
        set: "", root: "", client: client(), images: 0, folders: [], problems: [], picked: new Set(), chosen: "", where: {...NOWHERE}, total: 0, rows: [],
        kinds: {}, flags: {}, resolution: Number(kept("resolution") || 0), shownFor: 0, native: 0, analysis: null, turn: Promise.resolve(),
    };

    // ---- the server

    function address(path, query) {
        const all = {set: state.set, client: state.client, lang: view().language(), ...query};
        const parts = Object.entries(all).filter(([, value]) => value !== undefined && value !== null && value !== "");
        return `${BASE}${path}?${parts.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&")}`;
    }

    async function ask(path, query, body, signal) {
        const send = body === undefined ? {signal} : {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body), signal};
        const response = await fetch(address(path, query), {credentials: "same-origin", ...send}).catch((error) => {
            throw error.name === "AbortError" ? error : Object.assign(new Error(t("The server does not answer. Nothing was lost here; try again when it runs.")), {lost: true});
        });
        hush((note) => note.lost);
        const answer = await response.json().catch(() => null);
        if (response.ok && answer) return answer;
        const error = new Error((answer && (answer.error || answer.detail)) || t("The server answered {status}.", {status: response.status}));
        error.status = response.status;
        throw error;
    }

    // A server that was restarted knows no folders: it is given ours again, once, and asked again.
    async function asked(path, query, body, signal) {
        try {
            return await ask(path, query, body, signal);
        } catch (error) {
            if (error.status !== 404 || !state.set || !(await forgotten())) throw error;
            await ask("dataset/open", {}, {folder: state.root});
            return ask(path, query, body, signal);
        }
    }

    const forgotten = () => ask("dataset/progress", {}).then(() => false, (error) => error.status === 404);

    const get = (path, query, signal) => asked(path, query || {}, undefined, signal);
    const post = (path, body, signal) => asked(path, {}, path.startsWith("dataset/") ? {set: state.set, client: state.client, ...body} : body || {}, signal);

    // ---- notes and what may go wrong

    function say(kind, text, more) {
        const titles = {error: t("That did not work"), warning: t("Good to know"), good: t("Done")};
        const note = view().notes(kind, titles[kind] || titles.good, [text]);
        if (!note) return null;
        const buttons = el("span", {class: "lora_studio_ds_noteends"},
            more && el("button", {type: "button", class: "lora_studio_link", on: {click: () => { note.remove(); more.act(); }}}, more.label),
            el("button", {type: "button", class: "lora_studio_ds_close", "aria-label": t("Close"), title: t("Close"), on: {click: () => note.remove()}}, "×"));
        note.append(buttons);
        note.since = performance.now();
        note.kind = kind;
        note.offers = Boolean(more);
        hush((old) => old.kind === kind);
        byId("lora_studio_ds_notes").append(note);
        if (kind === "good") setTimeout(() => note.remove(), 8000);
        return note;
    }

    const hush = (over) => { for (const note of [...(byId("lora_studio_ds_notes") || {children: []}).children]) if (over(note)) note.remove(); };

    // After an act the notes on those before it are over, and what a link would take back may be taken back already.
    const passed = () => hush((note) => (note.kind === "good" && note.offers) || performance.now() - note.since > SEEN);

    async function attempt(work, button) {
        if (button && button.disabled) return undefined;
        if (button) button.disabled = true;
        try {
            const answer = await work();
            if (button) hush((note) => note.from === button);
            return answer;
        } catch (error) {
            const note = error.name !== "AbortError" && say("error", error.message);
            if (note) Object.assign(note, {from: button, lost: error.lost});
            return undefined;
        } finally {
            if (button) button.disabled = false;
        }
    }

    // ---- opening a folder

    async function open(folder) {
        const found = await ask("dataset/open", {set: ""}, {folder});
        const other = found.set !== state.set;
        if (other) turned(found.set);
        Object.assign(state, {set: found.set, root: found.root, images: found.images, folders: found.folders, problems: found.problems});
        if (other) Object.assign(state, {picked: new Set(), chosen: "", where: {...NOWHERE, ...(kept(FOLDER) === found.root ? kept(WHERE) : {}), keys: null}});
        keep(FOLDER, found.root);
        keep(RECENT, [found.root, ...(kept(RECENT) || []).filter((one) => one !== found.root)].slice(0, 8));
        api.frame.draw();
        await refresh();
        tell("set");
    }

    // Each folder has its own past: what was done in another one cannot be taken back here.
    function turned(set) {
        hush(() => true);
        pasts.set(state.set, [past.slice(), future.slice()]);
        const [before, after] = pasts.get(set) || [[], []];
        past.splice(0, past.length, ...before);
        future.splice(0, future.length, ...after);
    }

    // ---- the filter, the choice, and telling everybody

    function narrow(where) {
        for (const name in where) state.where[name] = where[name] === null ? NOWHERE[name] : where[name];
        state.where = {...state.where};
        keep(WHERE, state.where);
        state.picked.clear();
        tell("where");
        return refresh();
    }

    function pick(keys) {
        state.picked = new Set(keys);
        tell("picked");
    }

    function choose(key) {
        if (state.chosen === key) return;
        state.chosen = key;
        tell("chosen");
    }

    const scope = () => (state.picked.size ? {keys: [...state.picked]} : {where: state.where});
    const scopeCount = () => state.picked.size || state.total;

    function tell(what) {
        if (what === "history") passed();
        for (const part of [api.gallery, api.picture, api.shared, ...panels.filter((panel) => panel.built), ...feet.map((one) => one.heard)]) {
            try { if (part && part.changed) part.changed(what); } catch (error) { console.error(error); }
        }
    }

    function changed(what) {
        tell(what);
        return ROWS_ANEW.includes(what) ? refresh() : Promise.resolve();
    }

    const refresh = () => (state.set ? api.gallery.load() : Promise.resolve());

    // ---- undo

    const history = {
        behind: (other) => behind.push(other),
        undo: () => inTurn(() => back(past, future, "undo")),
        redo: () => inTurn(() => back(future, past, "redo")),
        can: () => ({undo: past.length > 0 || behind.some((other) => other.can().undo), redo: future.length > 0 || behind.some((other) => other.can().redo)}),
    };

    // Acts one after the other, however fast keys are pressed.
    function inTurn(work) {
        state.turn = state.turn.then(work).catch((error) => say("error", error.message));
        return state.turn;
    }

    function did(act) {
        past.push(act);
        past.splice(0, Math.max(0, past.length - 100));
        future.length = 0;
        tell("history");
    }

    async function back(from, to, how) {
        const act = from.pop();
        if (act) {
            const good = await attempt(async () => { await act[how](); return true; });
            (good ? to : from).push(act);
        } else {
            for (const other of behind) {
                if ((await attempt(() => other[how]())) !== false) break;
            }
        }
        tell("history");
    }

    // ---- tasks

    const remembered = () => kept(TASKS) || [];

    function task(id, heard) {
        const hear = heard || {}, fill = el("div", {class: "lora_studio_fill lora_studio_busy"}), words = el("span", {}, hear.title || t("Working …")), count = el("span", {class: "lora_studio_percent"});
        const cancel = el("button", {type: "button", class: "lora_studio_button", on: {click: () => { cancel.disabled = true; attempt(() => ask("dataset/task/cancel", {}, {task: id})); }}}, t("Cancel"));
        const box = el("div", {class: "lora_studio_ds_task", role: "status", "data-task": id},
            el("div", {class: "lora_studio_line"}, words, count, cancel), el("div", {class: "lora_studio_bar"}, fill));
        byId("lora_studio_ds_tasks").append(box);
        keep(TASKS, [...remembered().filter((one) => one.id !== id), {id, title: hear.title || ""}]);
        const over = () => { box.remove(); keep(TASKS, remembered().filter((one) => one.id !== id)); };
        const step = async (failures) => {
            let found;
            try {
                found = await ask("dataset/task", {task: id});
            } catch (error) {
                if (error.status !== 404 && failures < 60) return setTimeout(() => step(failures + 1), 5000);
                over();
                return say("warning", t("The work was ended by a restart of the server. What was finished is kept."));
            }
            const part = found.total ? found.done / found.total : 0;
            fill.classList.toggle("lora_studio_busy", !part);
            fill.style.width = `${(100 * part).toFixed(1)}%`;
            count.textContent = found.total ? `${view().number(found.done)} / ${view().number(found.total)}` : "";
            if (found.message) words.textContent = view().data(found.message);
            if (hear.told) hear.told(found);
            if (found.running) return setTimeout(() => step(0), 400);
            over();
            if (found.warnings.length) say("warning", found.warnings.join("\n"));
            if (found.phase === "failed") say("error", found.error);
            if (hear.ended) hear.ended(found);
            return undefined;
        };
        step(0);
    }

    // A page that was reloaded goes on hearing what it had started.
    async function resume() {
        for (const {id, title} of remembered()) {
            const found = await ask("dataset/task", {task: id}).catch(() => null);
            const owner = found && panels.find((panel) => panel.tasks && panel.tasks[found.kind]);
            if (found && found.running) task(id, {title, ...(owner ? owner.tasks[found.kind] : {})});
            else keep(TASKS, remembered().filter((one) => one.id !== id));
        }
    }

    // ---- parts

    function panel(part) {
        panels.push(part);
        panels.sort((one, other) => one.order - other.order);
        if (api.frame.steps) api.frame.steps();
    }

    function foot(name, order, build) {
        feet.push({name, order, build});
        feet.sort((one, other) => one.order - other.order);
        if (api.frame.feet) api.frame.feet();
    }

    function detail(name, order, drawn) {
        details.push({name, order, draw: drawn});
        details.sort((one, other) => one.order - other.order);
    }

    window.loraStudioDataset = {
        panel, foot, detail, state, post, get, ask, scope, scopeCount, narrow, pick, choose, refresh, changed, tell, did, history, inTurn, task, say, attempt,
        el, t, data: (text) => view().data(text), number: (value) => view().number(value), keep, kept, address, base: (path) => path && BASE + path, open, resume, show: (name) => api.frame.show(name),
        // Filled by their files, which may be loaded after those that use them.
        fields: {}, gallery: {}, picture: {}, frame: {},
        parts: {panels, feet, details, past, future, behind}, NOWHERE,
    };
    const api = window.loraStudioDataset;
})();
