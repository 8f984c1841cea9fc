// What the Train page shows on its right side: plan, progress, result. Draws what it is given and knows nothing else.
(() => {
    "use strict";
    if (window.loraStudioView) return;

    // The words of the page's language; the host puts them there, and the stand-alone page does too.
    function t(text, values) {
        const found = (window.localization && window.localization[text]) || text;
        return values ? found.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole)) : found;
    }

    // The host translates every text that equals a key; a name that happens to equal one must stay what it is.
    const data = (text) => `${text}\u200b`;
    const number = (value) => Number(value).toLocaleString(language() === "zh_CN" ? "zh-CN" : "en-US");
    const base = (path) => String(path).split(/[\\/]/).pop();
    const stem = (path) => base(path).replace(/\.safetensors$/, "");

    function language() {
        const named = t("lora_studio_language");
        if (named !== "lora_studio_language") return named;
        const chosen = (window.opts && window.opts.localization) || "";
        return /^zh/i.test(chosen) ? "zh_CN" : "en";
    }

    function el(name, options, ...children) {
        const node = document.createElement(name), {on, ...attributes} = options || {};
        for (const key in attributes) {
            if (attributes[key] !== undefined && attributes[key] !== false) node.setAttribute(key, attributes[key]);
        }
        for (const event in on) node.addEventListener(event, on[event]);
        node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
        return node;
    }

    function duration(seconds) {
        if (seconds === null || seconds === undefined) return "–";
        const s = Math.round(seconds);
        if (s < 90) return t("{n} s", {n: s});
        if (s < 5400) return t("{n} min", {n: Math.round(s / 60)});
        return t("{h} h {m} min", {h: Math.floor(s / 3600), m: Math.round((s % 3600) / 60) % 60});
    }

    function speed(perSecond) {
        if (!perSecond) return "–";
        return perSecond >= 1 ? t("{n} steps/s", {n: perSecond.toFixed(2)}) : t("{n} s/step", {n: (1 / perSecond).toFixed(2)});
    }

    const tile = (value, label, id) =>
        el("div", {class: "lora_studio_tile"}, el("span", {class: "lora_studio_value", id}, value), el("span", {class: "lora_studio_label"}, label));

    // A sentence may have more lines than one: each is a note of its own.
    function notes(kind, title, sentences) {
        const lines = (sentences || []).flatMap((sentence) => String(sentence).split("\n")).filter((line) => line.trim());
        if (!lines.length) return null;
        return el("div", {class: `lora_studio_notes lora_studio_${kind}`, role: kind === "error" ? "alert" : "note"},
            el("strong", {}, title), el("ul", {class: "lora_studio_list"}, lines.map((line) => el("li", {}, data(line)))));
    }

    function welcome() {
        const steps = [
            [t("Name your folder"), t("10 to 40 pictures, each with a .txt of the same name that says what is on it.")],
            [t("Read the plan"), t("Pictures, steps and time appear here. What is wrong is named first, with what to do.")],
            [t("Start"), t("You can close this page: the training goes on, and the LoRA is there when you come back.")],
        ];
        return el("div", {class: "lora_studio_welcome", "data-state": "empty"}, el("h3", {}, t("Three steps to your own LoRA")),
            el("ol", {}, steps.map(([title, text]) => el("li", {}, el("strong", {}, title), el("span", {}, text)))));
    }

    function plan(found, measure) {
        const ready = !found.problems.length;
        const seconds = found.seconds === null || found.seconds === undefined;
        return el("div", {class: "lora_studio_plan", "data-state": ready ? "ready" : "problems"},
            el("h3", {}, ready ? t("This is what will happen") : t("Before it can start")),
            notes("error", t("To be mended"), found.problems),
            ready && el("div", {class: "lora_studio_tiles"},
                tile(number(found.images), found.images === 1 ? t("picture") : t("pictures")),
                tile(number(found.epochs), found.epochs === 1 ? t("epoch") : t("epochs")),
                tile(number(found.steps), found.steps === 1 ? t("step") : t("steps"), "lora_studio_plan_steps"),
                tile(seconds ? "–" : `≈ ${duration(found.seconds)}`, t("duration"))),
            ready && el("ul", {class: "lora_studio_list lora_studio_sentences"}, found.sentences.map((sentence) => el("li", {}, data(sentence)))),
            ready && seconds && measure && el("button", {type: "button", class: "lora_studio_link", on: {click: measure}}, t("Measure how long it will take")),
            notes("warning", t("Good to know"), found.warnings));
    }

    const PHASES = {
        preparing: () => t("Preparing"),
        caching: () => t("Reading the pictures"),
        training: () => t("Training"),
        saving: () => t("Saving"),
        done: () => t("Done"),
        stopped: () => t("Stopped and saved"),
        cancelled: () => t("Cancelled"),
        failed: () => t("It did not work"),
    };
    const phase = (name) => (PHASES[name] ? PHASES[name]() : name);

    // What was asked for counts from the click on, though the step at hand still goes on.
    const now = (status) => (status.running && status.phase !== "saving" && {stop: t("Stopping …"), cancel: t("Cancelling …")}[status.asked]) || phase(status.phase);

    const asked = (status) => ({stop: t("Stopping after this step, then saving"), cancel: t("Cancelling after this step")}[status.asked] || "");

    function share(status) {
        if (status.steps && status.step) return status.step / status.steps;
        return 0;
    }

    function progress(status) {
        const part = share(status), percent = `${Math.floor(part * 100)} %`;
        const counted = status.total ? ` ${number(status.done)} / ${number(status.total)}` : "";
        return [
            el("div", {class: "lora_studio_line"},
                el("strong", {class: "lora_studio_phase"}, data(now(status) + (status.phase === "training" ? "" : counted))),
                el("span", {class: "lora_studio_name"}, data(status.name)),
                el("span", {class: "lora_studio_percent"}, percent)),
            el("div", {class: "lora_studio_bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.floor(part * 100), "aria-label": t("Progress")},
                el("div", {class: `lora_studio_fill${status.running && !status.step ? " lora_studio_busy" : ""}`, style: `width:${(part * 100).toFixed(1)}%`})),
            (status.message || asked(status)) && el("p", {class: "lora_studio_message", role: "status"}, data([status.message, asked(status)].filter(Boolean).join(" · "))),
            el("div", {class: "lora_studio_tiles"},
                tile(status.steps ? `${number(status.step)} / ${number(status.steps)}` : "–", status.steps === 1 ? t("step") : t("steps"), "lora_studio_step"),
                tile(status.epochs ? `${number(status.epoch)} / ${number(status.epochs)}` : "–", status.epochs === 1 ? t("epoch") : t("epochs")),
                tile(status.loss === null ? "–" : status.loss.toFixed(4), t("loss")),
                tile(speed(status.speed), t("speed")),
                status.running && tile(duration(status.eta_s), t("time left"))),
        ];
    }

    function table(curve, status) {
        const rows = status.steps && status.epochs ? window.loraStudioChart.byEpoch(curve, status.steps, status.epochs) : [];
        return el("table", {}, el("thead", {}, el("tr", {}, el("th", {}, t("epoch")), el("th", {}, t("mean loss")))),
            el("tbody", {}, rows.map(([epoch, loss]) => el("tr", {}, el("td", {}, number(epoch)), el("td", {}, loss.toFixed(5))))));
    }

    function previews(list, address) {
        if (!list.length) return null;
        return el("div", {class: "lora_studio_previews"}, list.slice(-8).map((one) =>
            el("figure", {}, el("img", {src: address(one.url), alt: t("Preview of epoch {epoch}", {epoch: one.epoch}), loading: "lazy"}),
                el("figcaption", {}, data(t("epoch {epoch}", {epoch: one.epoch}))))));
    }

    function files(list, title) {
        if (!list.length) return null;
        const shown = list.slice().reverse();
        return el("details", {class: "lora_studio_files"}, el("summary", {}, data(`${title} (${number(list.length)})`)),
            el("ul", {}, shown.map((path) => el("li", {title: path}, data(base(path))))));
    }

    function copied(button, text) {
        const say = (words) => {
            button.textContent = words;
            setTimeout(() => { button.textContent = t("Copy"); }, 1500);
        };
        const plain = () => {
            const area = el("textarea", {class: "lora_studio_offscreen"});
            area.value = text;
            document.body.append(area);
            area.select();
            const done = document.execCommand("copy");
            area.remove();
            say(done ? t("Copied") : t("Press Ctrl+C"));
        };
        // The clipboard needs https or localhost; a WebUI on another machine of the house has neither.
        if (navigator.clipboard && window.isSecureContext) navigator.clipboard.writeText(text).then(() => say(t("Copied")), plain);
        else plain();
    }

    function result(status, more) {
        const file = status.files[status.files.length - 1];
        const good = status.phase === "done" || status.phase === "stopped";
        const failed = status.phase === "failed";
        const prompt = file ? [`<lora:${stem(file)}:1>`, status.trigger].filter(Boolean).join(" ") : "";
        const field = el("input", {type: "text", readonly: true, class: "lora_studio_prompt", id: "lora_studio_prompt", "aria-label": t("For your prompt")});
        field.value = prompt;
        return el("div", {class: `lora_studio_result lora_studio_${failed ? "failed" : "ended"}`, "data-state": status.phase},
            el("h3", {}, good && file ? t("Your LoRA is ready") : phase(status.phase)),
            failed && notes("error", t("What happened"), [status.error || t("The training ended without a word. The console of the server knows more.")]),
            status.phase === "cancelled" && el("p", {}, t("Nothing was saved by cancelling; files of earlier epochs are kept.")),
            good && file && el("p", {}, more.cards ? t("Put this into a prompt, or click its card in the Lora page:") : t("Put this into a prompt:")),
            good && file && el("div", {class: "lora_studio_copy"}, field,
                el("button", {type: "button", class: "lora_studio_button", on: {click: (event) => copied(event.currentTarget, prompt)}}, t("Copy")),
                more.tryIt && el("button", {type: "button", class: "lora_studio_button lora_studio_primary", id: "lora_studio_try", on: {click: () => more.tryIt(prompt)}}, t("Try it"))),
            file && el("p", {class: "lora_studio_path", id: "lora_studio_file"}, data(file)),
            el("button", {type: "button", class: "lora_studio_link", id: "lora_studio_again", on: {click: more.again}}, t("Plan the next one")));
    }

    window.loraStudioView = {t, data, el, language, duration, number, phase, share, notes, welcome, plan, progress, table, previews, files, result};
})();
