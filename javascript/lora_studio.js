// The living part of the Train page: asks the server for the plan and the status, and shows them. The server knows
// everything; what is kept here can be lost. Made to be loaded before or after gradio, once or twice.
(() => {
    "use strict";
    if (window.loraStudio) return;

    const BASE = "lora-studio/v1/";
    const FORM = "lora_studio_form", DISMISSED = "lora_studio_dismissed";
    const FIRST_RETRY = 5000, LAST_RETRY = 60000, TYPING = 350, INSIST = 1500;
    const run = {status: null, curve: [], boot: null, failures: 0, timer: 0};
    const form = {config: null, timer: 0, asked: 0, plan: null, changed: false, guessed: null};
    const view = () => window.loraStudioView;
    const t = (text, values) => view().t(text, values);
    const byId = (id) => document.getElementById(id);

    // ---- what this browser remembers

    const keep = (key, value) => { try { localStorage.setItem(key, value); } catch (error) { /* private window: nothing is kept */ } };
    const kept = (key) => { try { return localStorage.getItem(key); } catch (error) { return null; } };

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

    // ---- gradio's fields

    function field(id) {
        return document.querySelector(`#${id} textarea, #${id} input`);
    }

    function set(id, value) {
        const node = field(id);
        if (!node || node.value === value) return;
        node.value = value;
        node.dispatchEvent(new Event("input", {bubbles: true}));
    }

    const press = (id) => { const button = byId(id); if (button) button.click(); };

    // ---- the form: read by Python, planned by the server

    // Until gradio has bound its handlers a press is lost, and nothing tells when it has: ask again until answered.
    function insist() {
        press("lora_studio_read");
        setTimeout(() => { if (!form.bound) insist(); }, INSIST);
    }

    function bound() {
        if (form.bound) return;
        form.bound = true;
        // On a first visit the goal is chosen anew: which resolution it begins with depends on the model that is loaded now.
        press(form.restoring ? "lora_studio_restore" : "lora_studio_choose");
    }

    function restored() {
        form.restoring = false;
        touched();
    }

    function touched() {
        if (form.restoring) return;
        clearTimeout(form.timer);
        form.timer = setTimeout(() => press("lora_studio_read"), TYPING);
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
        const found = JSON.parse(text), form_text = JSON.stringify({config: found.config, goal: found.goal});
        if (form.restoring) return null;
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
        set("lora_studio_train_caption_trigger", plan.name);
    }

    async function plan(text, probe) {
        bound();
        if (!readJob(text)) return;
        if (form.changed && run.status && !run.status.running) form.next = true;
        const asked = ++form.asked;
        if (!form.config.data.folder) {
            form.plan = null;
            return show();
        }
        try {
            const found = await ask("plan", {config: form.config, ...(probe ? {probe: true} : {})});
            if (asked !== form.asked) return;
            form.plan = found;
            guess(found);
        } catch (error) {
            if (asked !== form.asked) return;
            form.plan = {images: 0, steps: 0, epochs: 0, sentences: [], warnings: [], problems: [error.message]};
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
        const box = byId("lora_studio_error");
        if (box) box.replaceChildren(...[message && view().notes("error", t("That did not work"), [message])].filter(Boolean));
    }

    // A scan of many pictures takes its time: the button answers at once.
    function starting(button) {
        trouble(null);
        if (button.dataset.starting) return;
        button.dataset.starting = "1";
        button.textContent = t("Starting …");
        setTimeout(() => started(button), 60000);
    }

    function started(button) {
        if (!button || !button.dataset.starting) return;
        delete button.dataset.starting;
        button.textContent = t("Start training");
    }

    async function start(text) {
        if (!readJob(text)) return started(byId("lora_studio_start"));
        try {
            await ask("start", {config: form.config});
            form.next = false;
            await poll();
        } catch (error) {
            trouble(error.message);
        }
        started(byId("lora_studio_start"));
    }

    async function end(how) {
        if (!run.status || !run.status.running) return;
        trouble(null);
        try {
            await ask(how, {job: run.status.job});
            poll();
        } catch (error) {
            trouble(error.message);
        }
    }

    // What cannot be undone asks once more, in place.
    function cancel(button) {
        if (button.dataset.sure) {
            delete button.dataset.sure;
            button.textContent = t("Cancel");
            return end("cancel");
        }
        button.dataset.sure = "1";
        button.textContent = t("Save nothing? Click again");
        setTimeout(() => { if (button.dataset.sure) { delete button.dataset.sure; button.textContent = t("Cancel"); } }, 4000);
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
        run.status = {previews: [], files: [], warnings: [], ...status, running: status.running !== undefined ? status.running : isRunning(status.phase)};
        lost(false);
        if (before && before.running && !run.status.running) {
            form.next = false;
            freshCards();
        }
        show();
    }

    // The WebUI's own page for pictures, with the LoRA added to what stands in its prompt.
    function toTxt2img(prompt) {
        const before = field("txt2img_prompt") ? field("txt2img_prompt").value.trim() : "";
        if (!before.includes(prompt)) set("txt2img_prompt", before ? `${before}, ${prompt}` : prompt);
        window.switch_to_txt2img();
    }

    // The WebUI lists its cards when it is told to: what was just saved should be there without a search for that button.
    function freshCards() {
        for (const tab of ["txt2img", "img2img"]) {
            const refresh = byId(`${tab}_lora_extra_refresh_internal`);
            if (refresh) refresh.dispatchEvent(new Event("click"));
        }
    }

    const isRunning = (phase) => !["idle", "done", "stopped", "cancelled", "failed"].includes(phase);

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
        banner();
        if (!panel || !panel.dataset.ready) return;
        const running = Boolean(status && status.running);
        const ended = Boolean(status && status.job && !running && kept(DISMISSED) !== status.job && status.phase !== "idle");
        panel.dataset.phase = running || ended ? status.phase : "idle";
        panel.dataset.step = status ? status.step : 0;
        const actions = byId("lora_studio_actions");
        if (actions) actions.dataset.running = running;
        put("lora_studio_result", ended && view().result(status, {again, tryIt: window.loraStudio.tryIt || (window.switch_to_txt2img && toTxt2img), cards: !window.loraStudioAlone}));
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
        put("lora_studio_plan", planned && (form.plan ? view().plan(form.plan, measure) : view().welcome()));
    }

    // On every other tab: what holds the device, and how to end it.
    function banner() {
        const running = run.status && run.status.running && !visible();
        let bar = byId("lora_studio_banner");
        if (!running) return bar && bar.remove();
        const {el, data} = view();
        if (!bar) {
            bar = el("div", {id: "lora_studio_banner", class: "lora_studio", role: "status"}, el("span", {}),
                el("button", {type: "button", class: "lora_studio_button", on: {click: reveal}}, t("Show")),
                el("button", {type: "button", class: "lora_studio_button", on: {click: () => end("stop")}}, t("Stop and save")));
            document.body.prepend(bar);
        }
        const {status} = run;
        const values = {name: status.name, percent: Math.floor(view().share(status) * 100), left: view().duration(status.eta_s)};
        const text = data(status.eta_s === null ? t("LoRA Studio trains {name}: {percent} %. Generating waits until it ends.", values)
            : t("LoRA Studio trains {name}: {percent} %, {left} left. Generating waits until it ends.", values));
        if (bar.firstChild.textContent !== text) bar.firstChild.textContent = text;
    }

    function reveal() {
        for (let node = byId("lora_studio_panel"); node; node = node.parentElement) {
            if (!node.classList.contains("tabitem")) continue;
            const tabs = [...node.parentElement.children].filter((child) => child.classList.contains("tabitem"));
            const button = node.parentElement.querySelector(".tab-nav").querySelectorAll("button")[tabs.indexOf(node)];
            if (button) button.click();
        }
        setTimeout(poll, 100);
    }

    // ---- life

    function keys(event) {
        if (event.isComposing || event.keyCode === 229) return;
        const submits = event.key === "Enter" && (event.ctrlKey || event.metaKey || event.altKey);
        if (submits) press("lora_studio_start");
        // The WebUI's own shortcuts look for a Generate button, which this tab has not.
        if (submits || event.key === "Escape") event.stopPropagation();
    }

    function wire(id, act) {
        const button = byId(id);
        if (button) button.addEventListener("click", () => act(button));
    }

    function ready() {
        const panel = byId("lora_studio_panel");
        if (!panel || panel.dataset.ready || !byId("lora_studio_read") || !view() || !window.loraStudioChart) return;
        panel.dataset.ready = "1";
        skeleton(panel);
        byId("lora_studio_train").addEventListener("keydown", keys);
        byId("lora_studio_goal").addEventListener("change", () => setTimeout(() => press("lora_studio_choose"), 60));
        wire("lora_studio_start", starting);
        wire("lora_studio_stop", () => end("stop"));
        wire("lora_studio_cancel", cancel);
        const held = kept(FORM);
        if (held) {
            try { form.guessed = JSON.parse(held).config.data.folder; } catch (error) { /* kept by another version */ }
            form.restoring = true;
        }
        insist();
        show();
        poll();
    }

    window.loraStudio = {touched, restored, plan, start, kept: () => kept(FORM) || "", ask, address, set, field, byId, reveal, job: () => form.config, language: () => view().language(), tryIt: null};
    document.addEventListener("visibilitychange", () => { if (!document.hidden && byId("lora_studio_panel")) poll(); });
    // Another tab of the host is chosen by a click: banner and chart follow at once.
    document.addEventListener("click", () => setTimeout(() => { if (run.status) show(); }, 60));
    new MutationObserver(ready).observe(document.documentElement, {childList: true, subtree: true});
    ready();
})();
