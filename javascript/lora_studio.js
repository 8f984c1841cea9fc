// The living part of the Train page: asks the server for the plan and the status, and shows them. The server knows
// everything; what is kept here can be lost. Made to be loaded before or after gradio, once or twice.
(() => {
    "use strict";
    if (window.loraStudio) return;

    const BASE = "lora-studio/v1/";
    const FORM = "lora_studio_form", DISMISSED = "lora_studio_dismissed";
    const FIRST_RETRY = 5000, LAST_RETRY = 60000, TYPING = 350, DRAWN = 100;
    const run = {status: null, curve: [], boot: null, failures: 0, timer: 0};
    const form = {config: null, timer: 0, asked: 0, planning: 0, plan: null, changed: false, guessed: null, filling: "", after: "", trouble: ""};
    const view = () => window.loraStudioView, host = () => window.loraStudioWebui, controls = () => window.loraStudioControls;
    const calls = () => window.loraStudioCalls, fields = () => window.loraStudioFields;
    const keep = (key, value) => fields().keep(key, value), kept = (key) => fields().kept(key);
    const t = (text, values) => view().t(text, values);
    const byId = (id) => document.getElementById(id);

    // ---- the server

    async function ask(path, body, signal) {
        const lang = `lang=${view().language()}`, url = `${BASE}${path}${path.includes("?") ? "&" : "?"}${lang}`;
        const options = body === undefined ? {signal} : {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body), signal};
        const response = await fetch(url, {credentials: "same-origin", ...options});
        const answer = await response.json().catch(() => null);
        if (response.ok && answer) return answer;
        const error = new Error((answer && (answer.error || answer.detail)) || t("The server answered {status}.", {status: response.status}));
        error.status = response.status;
        throw error;
    }

    const address = (url) => (url.startsWith(BASE) || url.includes("://") ? url : BASE + url);

    const press = (id) => { const button = byId(id); if (button) button.click(); };

    // ---- the form: read by Python, planned by the server

    function bound() {
        if (form.bound) return;
        form.bound = true;
        list();
        // On a first visit the goal is chosen anew: which resolution it begins with depends on the model that is loaded now.
        fill(form.held ? "restore" : "choose");
    }

    // Python fills the form. What is read meanwhile is half one thing and half another, so nobody reads it.
    function fill(how) {
        form.filling = how;
        calls().press(how);
    }

    // What was kept brings its own goal along.
    function choose() {
        if (form.filling === "restore") return;
        fields().record();
        fill("choose");
    }

    function filled(how) {
        if (!calls().answered(how) || how !== form.filling) return;
        setTimeout(() => {
            if (calls().busy(how)) return;  // asked again meanwhile: that answer is the one
            fields().retype();
            form.filling = form.sent = "";
            if (form.waiting) return fields().send(form, form.waiting, fill);
            touched(0);
            if (form.after) press(form.after);
            form.after = "";
        }, DRAWN);
    }

    function touched(wait) {
        if (form.filling) return;
        clearTimeout(form.timer);
        form.timer = setTimeout(() => {
            form.timer = 0;
            calls().press("read");
        }, wait === undefined ? TYPING : wait);
    }

    // Whether everything that was entered so far has been read and answered.
    const settled = () => Boolean(form.bound && !form.filling && !form.timer && !form.planning && !calls().busy() && (run.status || run.failures));

    // What a plan says depends on the host, too: on the model that is loaded, on its options. Nothing to plan while it trains.
    function replan() {
        if (form.bound && form.config && form.config.data.folder && !(run.status && run.status.running)) touched();
    }

    function looked() {
        const before = form.seen, panel = byId("lora_studio_panel");
        form.seen = visible();
        if (panel) panel.dataset.seen = form.seen;
        if (form.seen && before === false) replan();
    }

    // A goal that is still being filled in would lie over the example: once more, then.
    function exampled(text) {
        fields().example(text);
        if (form.filling) form.after = "lora_studio_example";
        touched();
    }

    function titles(told) {
        for (const key in told) {
            const head = document.querySelector(`#lora_studio_fold_${key} > .label-wrap, #lora_studio_fold_${key} > button.label-wrap`);
            if (!head) continue;
            let now = head.querySelector(".lora_studio_holds");
            if (!now) {
                now = view().el("span", {class: "lora_studio_holds"});
                head.insertBefore(now, head.children[1] || null);
            }
            const text = view().data(told[key]);
            if (now.textContent !== text) now.textContent = text;
        }
    }

    function readJob(text) {
        if (!text) return null;
        if (form.filling) return null;
        const found = JSON.parse(text);
        fields().noExample(found.config);
        const form_text = JSON.stringify({config: found.config, goal: found.goal});
        form.changed = kept(FORM) !== null && kept(FORM) !== form_text;
        keep(FORM, form_text);
        form.config = found.config;
        titles(found.titles);
        const help = byId("lora_studio_goal_help");
        if (help) help.textContent = view().data(found.goal_help);
        return found;
    }

    // Name and trigger are guessed once for each folder that is named, and only into empty fields.
    function guess(plan) {
        const folder = form.config.data.folder;
        if (!folder || form.guessed === folder || !plan.images) return;
        form.guessed = folder;
        if (form.config.caption.trigger || form.config.save.name) return;
        fields().trigger(plan.name);
    }

    function told(text) {
        const latest = calls().answered("read");
        bound();
        if (latest) plan(text);
    }

    async function plan(text, probe) {
        if (!readJob(text)) return;
        trouble("");
        if (form.changed && run.status && !run.status.running) form.next = true;
        const asked = ++form.asked;
        if (!form.config.data.folder) {
            form.plan = null;
            return show();
        }
        form.planning += 1;
        try {
            const found = await ask("plan", {config: form.config, ...(probe ? {probe: true} : {})});
            if (asked !== form.asked) return;
            form.plan = found;
            guess(found);
        } catch (error) {
            if (asked !== form.asked) return;
            form.plan = {images: 0, steps: 0, epochs: 0, sentences: [], warnings: [], problems: [error.message]};
        } finally {
            form.planning -= 1;
        }
        show();
    }

    function measure(event) {
        event.currentTarget.disabled = true;
        event.currentTarget.textContent = t("Measuring …");
        byId("lora_studio_plan").dataset.html = "";
        plan(JSON.stringify({...JSON.parse(kept(FORM)), config: form.config, titles: {}, goal_help: byId("lora_studio_goal_help")?.textContent || ""}), true);
    }

    // ---- start, stop, cancel

    function trouble(message) {
        form.trouble = message;
        show();
    }

    // What the plan below names already is not said twice.
    function refused(plan) {
        const told = new Set(plan ? plan.problems.flatMap((problem) => problem.split("\n")) : []);
        return view().notes("error", t("That did not work"), form.trouble.split("\n").filter((line) => !told.has(line)));
    }

    async function start(text) {
        if (form.filling) return form.after = "lora_studio_start";
        if (!readJob(text)) return controls().started(byId("lora_studio_start"));
        try {
            await ask("start", {config: form.config});
            form.next = false;
            once();
            await poll();
        } catch (error) {
            trouble(error.message);
        }
        controls().started(byId("lora_studio_start"));
    }

    // "Replace" was asked for this training alone.
    function once() {
        const box = fields().field("lora_studio_train_save_replace");
        if (!box || !box.checked) return;
        form.config.save.replace = false;
        keep(FORM, JSON.stringify({...JSON.parse(kept(FORM)), config: form.config}));
        box.click();
    }

    async function end(how) {
        if (!run.status || !run.status.running) return;
        trouble("");
        try {
            await ask(how, {job: run.status.job});
            run.status = {...run.status, asked: how};
            show();
            poll();
        } catch (error) {
            trouble(error.message);
        }
    }

    // ---- polling

    function later(delay) {
        clearTimeout(run.timer);
        run.timer = setTimeout(poll, delay);
    }

    const visible = () => { const panel = byId("lora_studio_panel"); return Boolean(panel && panel.offsetParent); };

    async function poll() {
        clearTimeout(run.timer);
        if (document.hidden) return;
        const since = run.curve.length ? run.curve[run.curve.length - 1][0] : 0;
        try {
            const status = await ask(`status?since=${since}`);
            const other = (run.status && status.job !== run.status.job) || (run.boot !== null && status.boot !== undefined && status.boot !== run.boot);
            run.boot = status.boot === undefined ? null : status.boot;
            run.failures = 0;
            if (other) {
                run.curve = [];
                run.status = null;
                return later(0);
            }
            take(status);
            later(status.running ? (visible() ? 1000 : 3000) : visible() ? 4000 : 15000);
        } catch (error) {
            // A server that is starting must not be hurried: 5 s, 10 s, 20 s … and not all pages at once.
            const wait = Math.min(LAST_RETRY, FIRST_RETRY * 2 ** run.failures++);
            if (error.status === 401) trouble(error.message);
            else lost(run.failures > 1 || (run.status && run.status.running));
            later(wait * (1 + Math.random() / 4));
        }
    }

    function lost(is) {
        const box = byId("lora_studio_lost");
        if (box) box.textContent = is ? t("No connection to the server. A training goes on without this page; trying again …") : "";
    }

    function take(status) {
        const before = run.status;
        run.curve = run.curve.concat(status.curve || []);
        run.status = {previews: [], files: [], warnings: [], ...status};
        lost(false);
        if (before && before.running && !run.status.running) {
            form.next = false;
            run.listed = false;
        }
        list();
        show();
    }

    // A page that was not open when the run ended lists its files, too: the host gives each page the cards it once made.
    function list() {
        if (run.listed || !form.bound || !run.status || run.status.running || !run.status.files.length) return;
        run.listed = true;
        host().freshCards();
    }

    // ---- drawing

    function skeleton(panel) {
        const {el} = view();
        const part = (id, more) => el("div", {id, ...more});
        panel.replaceChildren(
            part("lora_studio_lost", {role: "status"}), part("lora_studio_error"), part("lora_studio_result"), part("lora_studio_progress"),
            part("lora_studio_chart", {class: "lora_studio_chart"}),
            el("details", {id: "lora_studio_table", class: "lora_studio_files"}, el("summary", {}, t("Loss of each epoch")), part("lora_studio_rows")),
            part("lora_studio_more"), part("lora_studio_plan", {"aria-live": "polite"}));
        byId("lora_studio_table").addEventListener("toggle", show);
        new ResizeObserver(() => chart()).observe(byId("lora_studio_chart"));
    }

    // Replaces children only where they differ, so that focus, selection and open folds stay.
    function put(id, children) {
        const box = byId(id), list = [children].flat().filter(Boolean), html = list.map((node) => node.outerHTML).join("");
        if (!box || box.dataset.html === html) return;
        const open = [...box.querySelectorAll("details")].map((node) => node.open);
        box.replaceChildren(...list);
        box.querySelectorAll("details").forEach((node, index) => { node.open = Boolean(open[index]); });
        box.dataset.html = html;
    }

    function chart() {
        const box = byId("lora_studio_chart"), status = run.status;
        if (!box || !status || box.offsetParent === null) return;
        box.dataset.points = run.curve.length;
        window.loraStudioChart.draw(box, run.curve, status.steps, status.epochs, t("Loss: bold smoothed, faint each step"));
    }

    function again() {
        keep(DISMISSED, run.status.job);
        form.next = true;
        touched();
        show();
    }

    function show() {
        const panel = byId("lora_studio_panel"), status = run.status;
        controls()?.banner(status && status.running && !visible() ? status : null, reveal, () => end("stop"));
        if (!panel || !panel.dataset.ready) return;
        const running = Boolean(status && status.running);
        const ended = Boolean(status && status.job && !running && kept(DISMISSED) !== status.job && status.phase !== "idle");
        panel.dataset.phase = running || ended ? status.phase : "idle";
        panel.dataset.step = status ? status.step : 0;
        const actions = byId("lora_studio_actions");
        if (actions) actions.dataset.running = running;
        put("lora_studio_result", ended && view().result(status, {again, tryIt: window.loraStudio.tryIt || host().tryIt(), cards: !window.loraStudioAlone}));
        put("lora_studio_progress", (running || (ended && status.step > 0)) && view().progress(status));
        const curve = (running || ended) && run.curve.length > 1;
        byId("lora_studio_chart").hidden = !curve;
        byId("lora_studio_table").hidden = !curve;
        if (curve) chart();
        if (curve && byId("lora_studio_table").open) put("lora_studio_rows", view().table(run.curve, status));
        put("lora_studio_more", (running || ended) && [
            view().notes("warning", t("Good to know"), status.warnings), view().previews(status.previews, address), view().files(status.files, t("Files saved")),
        ]);
        const planned = !running && (!ended || form.next);
        put("lora_studio_error", refused(planned ? form.plan : null));
        put("lora_studio_plan", planned && (form.plan ? view().plan(form.plan, measure) : view().welcome()));
    }

    function reveal() {
        controls().reveal();
        setTimeout(poll, 100);
    }

    // ---- life

    function wire(id, act) {
        const button = byId(id);
        if (button) button.addEventListener("click", () => act(button));
    }

    function ready() {
        const panel = byId("lora_studio_panel");
        if (!panel || panel.dataset.ready || !byId("lora_studio_read") || ![view(), host(), controls(), calls(), fields(), window.loraStudioChart].every(Boolean)) return;
        panel.dataset.ready = "1";
        skeleton(panel);
        controls().groups();
        byId("lora_studio_train").addEventListener("keydown", controls().keys);
        fields().watch(byId("lora_studio_form"), touched);
        byId("lora_studio_goal").addEventListener("change", () => setTimeout(choose, 60));
        wire("lora_studio_start", (button) => { trouble(""); controls().starting(button); });
        wire("lora_studio_stop", () => end("stop"));
        wire("lora_studio_cancel", (button) => controls().cancel(button, () => end("cancel")));
        const held = kept(FORM);
        if (held) {
            try { form.guessed = JSON.parse(held).config.data.folder; } catch (error) { /* kept by another version */ }
            form.held = true;
        }
        looked();
        host().hear(replan, looked);
        calls().press("read");
        show();
        poll();
    }

    window.loraStudio = {touched: () => touched(), exampled, filled, told, taken: (name) => calls().taken(name), start, settled, kept: () => form.sent || kept(FORM) || "", fill: (config) => fields().send(form, config, fill), ask, address, byId, reveal, job: () => form.config, language: () => view().language(), tryIt: null};
    function returned() {
        if (document.hidden || !byId("lora_studio_panel")) return;
        poll();
        if (visible()) replan();
    }

    document.addEventListener("visibilitychange", returned);
    // Another tab of the host is chosen by a click: banner and chart follow at once.
    document.addEventListener("click", () => setTimeout(() => {
        looked();
        if (run.status) show();
    }, 60));
    new MutationObserver(ready).observe(document.documentElement, {childList: true, subtree: true});
    ready();
})();
