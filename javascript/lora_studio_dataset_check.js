// The step "Check": everything that is wrong with the set before a long run, worst first, with a button for what a click can mend.
(() => {
    "use strict";
    const api = window.loraStudioDataset;
    if (!api || api.check) return;

    const ID = "lora_studio_ds_check_", SHOWN = 8, MOST = 200;
    const SEVERITIES = ["error", "warning", "hint"], SIGNS = {error: "✕", warning: "!", hint: "i"};
    const PLACES = {show: "", captions: "captions", tagging: "taggers", prepare: "prepare"};
    // The step in which a finding of the regularisation set is mended, once that folder is open.
    const REGULARISATION = {reg_flaw: "taggers", reg_coverage: "taggers", reg_leak: "captions", reg_shared: "pictures", reg_count: "pictures"};
    const {state, el, t, data, number} = api;
    const byId = (id) => document.getElementById(ID + id);
    const mine = {set: "", running: false, found: null, stale: false, opened: new Set(), again: false};

    const heading = (severity) => ({error: t("Errors"), warning: t("Warnings"), hint: t("Hints")}[severity]);
    const meaning = (severity) => ({
        error: t("Training refuses these, or they spoil what comes out."),
        warning: t("Worth mending before a long run."),
        hint: t("Good to know; nothing has to be done."),
    }[severity]);

    // ---- looking

    function wish() {
        const batch = byId("batch") ? Number(byId("batch").value) || 1 : 1;
        return {reg: byId("reg").value.trim(), trigger: byId("trigger").value.trim(), batch, ...(state.shownFor ? {resolution: state.shownFor} : {})};
    }

    async function look() {
        if (mine.running) { mine.again = true; return; }
        running(true);
        try {
            const {task} = await api.post("dataset/doctor", wish());
            mine.set = state.set;
            api.task(task, {title: t("Looking for what is wrong"), ended});
        } catch (error) {
            running(false);
            throw error;
        }
    }

    function ended(task) {
        running(false);
        if (mine.again) { mine.again = false; api.attempt(look); return; }
        if (task.phase !== "done") return;
        Object.assign(mine, {found: task.result, stale: false});
        draw();
    }

    function running(is) {
        mine.running = is;
        if (byId("go")) byId("go").disabled = is;
        if (byId("found")) byId("found").setAttribute("aria-busy", String(is));
    }

    // ---- mending

    function undoable(found, group, keys) {
        if (!found.changed) return;
        if (found.where === "captions") {
            api.captions.took(found);
            api.captions.did(found.what);
        } else if (found.where === "texts") {
            const swing = {backup: found.backup};
            const swap = async () => {
                swing.backup = (await api.post("dataset/fix", {fix: "undo", backup: swing.backup})).backup;
                await touched("folders");
            };
            api.did({text: found.what, undo: swap, redo: swap});
        } else {
            const swing = {trash: found.trash};
            api.did({
                text: found.what,
                undo: async () => { await api.post("dataset/trash/undo", {trash: swing.trash}); await touched("folders"); },
                redo: async () => { swing.trash = (await api.post("dataset/fix", {fix: group.act, keys})).trash; await touched("folders"); },
            });
        }
    }

    async function touched(what) {
        await api.changed(what);
        if (api.parts.panels.some((one) => one.name === "check" && one.built)) await look();
    }

    const mend = (group, keys) => api.inTurn(async () => {
        const found = await api.post("dataset/fix", {fix: group.act, keys});
        undoable(found, group, keys);
        if (found.problems.length) api.say("warning", found.problems.join("\n"));
        else if (found.changed) api.say("good", found.what, {label: t("Undo"), act: () => api.history.undo()});
        await touched(found.where === "captions" ? "captions" : "folders");
    });

    // ---- going where it is mended

    const gallery = (keys) => api.narrow({...api.NOWHERE, keys});

    async function lead(group) {
        if (group.keys.length) await gallery(group.keys);
        if (PLACES[group.act]) api.show(PLACES[group.act]);
    }

    async function file(key) {
        await gallery([key]);
        api.choose(key);
    }

    // ---- drawing

    function problem(one) {
        const name = one.key ? el("button", {type: "button", class: "lora_studio_link", "data-file": one.file, title: t("Show it"), on: {click: () => api.attempt(() => file(one.file))}}, data(one.file)) : el("code", {"data-file": one.file}, data(one.file));
        return el("li", {}, one.file ? name : "", one.file ? " " : "", data(one.what));
    }

    function list(group) {
        const all = mine.opened.has(group.kind), shown = group.problems.slice(0, all ? MOST : SHOWN);
        const left = group.total - shown.length, box = el("ul", {class: "lora_studio_ds_problems"}, shown.map(problem));
        if (!left) return [box];
        const more = t("… and {n} more", {n: number(left)});
        if (all) return [box, el("p", {class: "lora_studio_ds_help"}, data(more))];
        return [box, api.fields.button({label: data(more), kind: "link", act: () => { mine.opened.add(group.kind); draw(); }})];
    }

    // What a click will change is asked for when somebody wants to know it.
    function preview(group, keys) {
        const box = el("div", {class: "lora_studio_ds_part"});
        const ask = async (event) => {
            if (!event.currentTarget.open || box.childElementCount) return;
            const found = await api.post("dataset/fix", {fix: group.act, keys, preview: true});
            box.replaceChildren(...found.examples.map((one) => el("div", {class: "lora_studio_ds_change"}, el("code", {}, data(one.file)),
                found.where === "trash" ? el("p", {class: "lora_studio_ds_version"}, t("goes to the trash of LoRA Studio, with its caption")) : [
                    el("p", {class: "lora_studio_ds_version"}, el("del", {}, data(one.before === null ? t("no caption") : one.before))),
                    el("p", {class: "lora_studio_ds_version"}, el("ins", {}, data(one.after === null ? t("no caption") : one.after)))])),
            el("p", {class: "lora_studio_ds_help"}, data(t("In all: {n}", {n: number(found.changed)}))));
        };
        return el("details", {class: "lora_studio_files", on: {toggle: (event) => api.attempt(() => ask(event))}}, el("summary", {}, t("What will change")), box);
    }

    function acts(group) {
        if (group.kind in REGULARISATION && api.reg.read()) return [el("p", {class: "lora_studio_ds_acts"}, api.fields.button({label: t("Open the regularisation set"), act: () => api.reg.open(REGULARISATION[group.kind])}))];
        if (!group.act) return [];
        if (group.act in PLACES) return [el("p", {class: "lora_studio_ds_acts"}, api.fields.button({label: data(group.button), act: () => lead(group)}))];
        const keys = group.files;
        const show = group.keys.length > 0 && api.fields.button({label: t("Show them"), kind: "link", act: () => gallery(group.keys)});
        return [el("p", {class: "lora_studio_ds_acts"}, api.fields.button({label: data(group.button), act: () => mend(group, keys)}), show), preview(group, keys)];
    }

    function groupNode(group) {
        return el("details", {class: "lora_studio_ds_fold", "data-kind": group.kind, open: group.severity !== "hint"},
            el("summary", {}, data(group.label), " ", el("span", {class: "lora_studio_ds_number_of"}, number(group.total))),
            el("div", {class: "lora_studio_ds_part"}, list(group), el("p", {class: "lora_studio_ds_help"}, data(group.fix)), acts(group)));
    }

    function severityNode(severity) {
        const groups = mine.found.groups.filter((one) => one.severity === severity);
        if (!groups.length) return "";
        return el("section", {class: "lora_studio_ds_part", "data-severity": severity},
            el("h4", {}, el("span", {class: `lora_studio_ds_sign lora_studio_ds_${severity}`, "aria-hidden": "true"}, SIGNS[severity]), " ", data(`${heading(severity)} (${number(mine.found.counts[severity])})`)),
            el("p", {class: "lora_studio_ds_help"}, meaning(severity)), groups.map(groupNode));
    }

    function clear() {
        const next = ["repeats", "prepare"].filter((name) => api.parts.panels.some((one) => one.name === name));
        const words = {repeats: t("Compute the repeats"), prepare: t("Prepare a copy")};
        return el("div", {class: "lora_studio_notes lora_studio_good", "data-state": "clear"}, el("strong", {}, t("Nothing is wrong with this set")),
            el("p", {}, t("Next: compute the repeats, prepare a copy with crops and folders if you need one, and send it to Train.")),
            el("p", {class: "lora_studio_ds_acts"}, next.map((name) => api.fields.button({label: words[name], act: () => api.show(name)}))));
    }

    function draw() {
        const box = byId("found");
        if (!box) return;
        const found = mine.set === state.set ? mine.found : null;
        if (!found) {
            box.replaceChildren(el("p", {class: "lora_studio_ds_help"}, t("Damaged files, captions that would not be read as meant, copies, bars, pictures that are too small, folders that training leaves out: a look takes a few seconds for each hundred pictures.")));
            box.dataset.state = "new";
            return;
        }
        const total = SEVERITIES.reduce((sum, one) => sum + found.counts[one], 0);
        const stale = mine.stale && el("p", {class: "lora_studio_ds_help", role: "status"}, t("The set has changed since: look again."));
        box.replaceChildren(el("p", {role: "status"}, el("strong", {}, data(found.summary))),
            el("p", {class: "lora_studio_ds_help"}, data(t("Looked at for a resolution of {side}; another one is chosen in the step Pictures.", {side: found.resolution}))), stale || "", ...(total ? SEVERITIES.map(severityNode).filter(Boolean) : [clear()]));
        box.dataset.state = total ? "problems" : "clear";
        box.dataset.total = total;
    }

    // ---- life

    function build(box) {
        box.append(
            api.fields.text({label: t("Trigger word"), id: `${ID}trigger`, value: api.trigger.read(), change: api.trigger.write, help: t("Every caption should begin with it, and none of the regularisation set should have it.")}),
            api.reg.field({id: `${ID}reg`, help: t("Empty without one. It is looked through as well: as many pictures, none in both sets, the same things on them.")}),
            api.fields.number({label: t("Batch size"), id: `${ID}batch`, value: api.kept("batch") || 1, min: 1, max: 64, change: (value) => api.keep("batch", value), help: t("As you will train: buckets that hold fewer pictures than a batch are named.")}),
            el("p", {class: "lora_studio_ds_acts"}, api.fields.button({label: t("Check now"), kind: "primary", id: `${ID}go`, act: look})),
            el("div", {id: `${ID}found`, class: "lora_studio_ds_part"}));
        draw();
        running(mine.running);
    }

    function shown() {
        if (byId("trigger") && document.activeElement !== byId("trigger")) byId("trigger").value = api.trigger.read();
        draw();
    }

    function changed(what) {
        if (["set", "trigger"].includes(what) && document.activeElement !== byId("trigger")) byId("trigger").value = api.trigger.read();
        if (what === "set" && mine.set !== state.set) Object.assign(mine, {found: null, stale: false, opened: new Set()});
        if (["captions", "folders", "tags"].includes(what) && mine.found && !mine.running) mine.stale = true;
        if (["set", "captions", "folders", "tags"].includes(what)) draw();
    }

    api.check = {look};
    api.panel({name: "check", order: 60, title: () => t("Check"), build, shown, changed, tasks: {doctor: {ended: (task) => { mine.set = state.set; ended(task); }}}});
})();
