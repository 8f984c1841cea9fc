// The step "Prepare": settings of the project copy, its plan in sentences, one picture before and after, writing and taking back.
(() => {
    "use strict";
    const api = window.loraStudioDataset;
    if (!api || api.prepare) return;

    const ID = "lora_studio_ds_prepare_", KEPT = "prepare", WAIT = 250;
    const {state, el, t, data} = api;
    const byId = (id) => document.getElementById(ID + id);
    // `values` are what the user chose (dotted names); everything else is what fits the loaded model.
    const mine = {schema: null, root: "", values: {}, target: "", fields: {}, plan: null, asked: 0, timer: 0, result: null, writing: false};

    // What the choices are called: [word, sentence].
    const CHOICES = {
        "shape.kind": {
            keep: () => [t("As they are"), t("Nothing is cut here.")],
            auto: () => [t("The best size for each"), t("Each picture gets the size with the largest area near its own shape, cut from its middle.")],
            centre: () => [t("One size, from the middle"), t("All pictures get one size, cut from their middle.")],
            focal: () => [t("One size, around the face"), t("All pictures get one size, cut around the face you mark, or else around what stands out.")],
            pad: () => [t("Padded to a square"), t("Nothing is cut: the whole picture stands in the middle of a square.")],
        },
        "shape.colour": {black: () => [t("black")], white: () => [t("white")]},
        "shape.prefer": {area: () => [t("the largest area")], shape: () => [t("the nearest shape")]},
        "copies.groups": {
            duplicate: () => [t("Repeat pictures of smaller groups")],
            trim: () => [t("Leave pictures of larger groups out")],
            keep: () => [t("Leave them as they are")],
        },
        "folders.by": {
            classes: () => [t("One for each class"), t("Face close-ups, main visuals, full bodies and differential images get the repeats of the step Repeats. Discarded pictures stay out.")],
            folders: () => [t("As the pictures lie now"), t("Folders keep their names and numbers. Discarded pictures stay out.")],
            one: () => [t("One for all"), t("All pictures together. Discarded pictures stay out.")],
        },
        "files.format": {png: () => ["PNG"], jpeg: () => ["JPEG"]},
    };
    // When a field has something to say; others always have.
    const WHEN = {
        "shape.size": (value) => ["centre", "focal"].includes(value("shape.kind")),
        "shape.side": (value) => value("shape.kind") === "pad",
        "shape.colour": (value) => value("shape.kind") === "pad",
        "enlarge.below": (value) => value("enlarge.upscaler") !== "" && value("shape.kind") === "keep",
        "copies.groups": (value) => value("folders.by") === "classes" && Boolean((state.flags || {}).group),
        "copies.group_size": (value) => value("folders.by") === "classes" && value("copies.groups") === "trim" && Boolean((state.flags || {}).group),
        "folders.repeats": (value) => value("folders.by") !== "classes",
        auto: (value) => value("shape.kind") === "auto",
    };

    const setting = (name) => mine.schema.settings.find((one) => one.name === name);

    function value(name) {
        if (name === "files.trigger") return api.trigger.read();
        if (name in mine.values) return mine.values[name];
        if (name === "copies.flip" && state.repeats) return state.repeats.flip;
        return setting(name).default;
    }

    // ---- what the server is asked

    function settings() {
        const nested = {};
        for (const {name} of mine.schema.settings) {
            const [group, field] = name.split(".");
            (nested[group] = nested[group] || {})[field] = value(name);
        }
        const repeats = state.repeats;
        if (repeats && repeats.trimmed && repeats.group_size && takes(repeats)) Object.assign(nested.copies, {groups: "trim", group_size: repeats.group_size});
        return nested;
    }

    // The repeats of the step Repeats hold where they were computed for the same flipped copies; else the server computes them anew.
    const takes = (repeats) => value("folders.by") === "classes" && (repeats.feasible || repeats.by_hand) && repeats.flip === value("copies.flip");

    function asked() {
        const repeats = state.repeats && takes(state.repeats) ? Object.fromEntries(Object.entries(state.repeats.repeats).filter(([, one]) => one)) : undefined;
        return {settings: settings(), target: mine.target, ...(repeats && Object.keys(repeats).length ? {repeats} : {})};
    }

    function changed(name, found) {
        if (name === "files.trigger") api.trigger.write(found);
        else mine.values[name] = found;
        remember();
        visible();
        plan();
    }

    function remember() {
        api.keep(KEPT, {...(api.kept(KEPT) || {}), values: mine.values, [`target ${state.root}`]: mine.target});
    }

    // ---- fields

    function field(one) {
        const options = {id: `${ID}${one.name.replace(".", "_")}`, label: data(one.label), help: one.help, value: shown(one), change: (found) => changed(one.name, found)};
        const {text, number, select, tick} = api.fields;
        if (one.name === "enlarge.upscaler") return select({...options, options: [["", t("None")], ...mine.schema.upscalers.map((name) => [name, data(name)])]});
        if (one.type === "choice") return select({...options, options: one.choices.map((name) => [name, CHOICES[one.name][name]()[0]])});
        if (one.type === "bool") return tick(options);
        if (one.type === "size") return text({...options, change: (found) => changed(one.name, sides(found) || one.default)});
        if (one.type === "int" || one.type === "float") return number({...options, min: one.min ?? undefined, max: one.max ?? undefined, step: one.step || (one.type === "int" ? 1 : 0.01)});
        return text(options);
    }

    const shown = (one) => (one.type === "size" ? value(one.name).join(" × ") : value(one.name));
    const sides = (text) => { const found = text.split(/[^0-9]+/).filter(Boolean).map(Number); return found.length === 1 ? [found[0], found[0]] : found.length === 2 ? found : null; };

    function sections() {
        return Object.entries(mine.schema.sections).map(([name, label]) => {
            const own = mine.schema.settings.filter((one) => one.section === name || one.name.startsWith(`${name}.`));
            const plain = own.filter((one) => !one.advanced), advanced = own.filter((one) => one.advanced);
            for (const one of own) mine.fields[one.name] = field(one);
            const more = advanced.length > 0 && el("details", {class: "lora_studio_files", id: `${ID}more_${name}`}, el("summary", {}, t("Limits of the automatic size")), el("div", {class: "lora_studio_ds_part"}, advanced.map((one) => mine.fields[one.name])));
            return el("section", {class: "lora_studio_ds_part"}, el("h4", {}, data(label)), plain.flatMap((one) => [mine.fields[one.name], CHOICES[one.name] && el("p", {class: "lora_studio_ds_help", id: `${ID}says_${one.name.replace(".", "_")}`})]), more);
        });
    }

    // Fields that have nothing to say now are away; a choice is explained by its own sentence.
    function visible() {
        for (const [name, node] of Object.entries(mine.fields)) {
            node.hidden = Boolean(WHEN[name]) && !WHEN[name](value);
            const says = byId(`says_${name.replace(".", "_")}`);
            if (!says) continue;
            const sentence = (CHOICES[name][value(name)] || (() => []))()[1] || "";
            says.textContent = sentence;
            says.hidden = !sentence || node.hidden;
        }
        const more = byId("more_shape");
        if (more) more.hidden = !WHEN.auto(value);
    }

    function refill() {
        for (const one of mine.schema ? mine.schema.settings : []) {
            const node = mine.fields[one.name];
            if (node && !node.contains(document.activeElement)) node.write(shown(one));
        }
        visible();
    }

    // ---- plan

    function plan() {
        clearTimeout(mine.timer);
        if (!mine.schema || !byId("plan")) return;
        byId("plan").dataset.state = "asking";
        mine.timer = setTimeout(async () => {
            const now = ++mine.asked;
            api.preparePreview.ask();
            try {
                const found = await api.post("dataset/prepare/plan", asked());
                if (now !== mine.asked) return;
                mine.plan = found;
                drawPlan();
            } catch (error) {
                if (now !== mine.asked) return;
                mine.plan = null;
                drawPlan(error.message);
            }
        }, WAIT);
    }

    function drawPlan(trouble) {
        const box = byId("plan"), view = window.loraStudioView, found = mine.plan;
        if (!box) return;
        box.dataset.state = trouble || (found && !found.ready) ? "problems" : "ready";
        box.replaceChildren(...[
            view.notes("error", t("To be mended"), trouble ? [trouble] : found.problems),
            found && el("ul", {class: "lora_studio_list lora_studio_sentences"}, found.sentences.map((one) => el("li", {}, data(one)))),
            found && view.notes("warning", t("Good to know"), found.warnings),
        ].filter(Boolean));
        byId("write").disabled = mine.writing || !found || !found.ready;
        byId("write").textContent = found && found.update ? t("Update the project") : t("Write the project");
        byId("undo").hidden = !(found && found.update);
    }

    // ---- writing

    const heard = () => ({title: t("Preparing"), ended});

    async function write() {
        mine.result = null;
        drawResult();
        const {task} = await api.post("dataset/prepare", asked());
        mine.writing = true;
        byId("write").disabled = true;
        api.task(task, heard());
    }

    function ended(task) {
        mine.writing = false;
        if (task.phase === "cancelled") api.say("warning", t("Cancelled. Nothing was written, and what was there before is as it was."));
        if (task.phase === "done" && !task.result.cancelled) {
            mine.result = task.result;
            state.project = {folder: task.result.project};
            if (task.result.trigger) state.trigger = task.result.trigger;
            api.tell("project");
        }
        drawResult();
        if (mine.result) arrived();
        plan();
    }

    // It stands above everything else; who is elsewhere is told.
    function arrived() {
        if (byId("result") && byId("result").offsetParent) byId("result").scrollIntoView({block: "nearest"});
        else api.say("good", mine.result.sentences[0], {label: t("Show"), act: () => api.show("prepare")});
    }

    async function undo() {
        const found = await api.post("dataset/prepare/undo", {target: mine.target});
        mine.result = null;
        if (state.project && !found.restored) delete state.project;
        api.tell("project");
        api.say("good", found.told);
        drawResult();
        plan();
    }

    function drawResult() {
        const box = byId("result"), found = mine.result, {button} = api.fields;
        if (!box) return;
        box.hidden = !found;
        if (!found) return box.replaceChildren();
        box.replaceChildren(...[
            el("h4", {}, t("The project is written")),
            el("ul", {class: "lora_studio_list"}, found.sentences.map((one) => el("li", {}, data(one)))),
            el("p", {class: "lora_studio_path", id: `${ID}project`}, data(found.project)),
            el("p", {class: "lora_studio_ds_acts"},
                api.send && button({id: `${ID}send`, label: t("Send to Train"), kind: "primary", act: () => api.send(), help: t("Fills the training form with this project.")}),
                button({id: `${ID}open`, label: t("Open it here"), act: () => api.open(found.project), help: t("Look through the project as it is now.")})),
        ]);
        return undefined;
    }

    // ---- life

    async function start(box) {
        const found = api.kept(KEPT) || {};
        Object.assign(mine, {root: state.root, values: found.values || {}, fields: {}, plan: null, result: null, writing: false});
        mine.schema = await api.get("dataset/prepare/settings");
        const known = new Set(mine.schema.settings.map((one) => one.name));
        for (const name of Object.keys(mine.values)) if (!known.has(name)) delete mine.values[name];
        // An upscaler that was taken away meanwhile is none.
        if (mine.values["enlarge.upscaler"] && !mine.schema.upscalers.includes(mine.values["enlarge.upscaler"])) delete mine.values["enlarge.upscaler"];
        mine.target = found[`target ${state.root}`] || mine.schema.target;
        const place = api.fields.text({id: `${ID}target`, label: t("Write the project to"), value: mine.target, help: t("A new folder, beside yours. Your own pictures and captions are never moved, changed or deleted."),
            change: (text) => { mine.target = text.trim() || mine.schema.target; place.write(mine.target); remember(); plan(); }});
        const {button} = api.fields;
        box.replaceChildren(
            el("section", {id: `${ID}result`, class: "lora_studio_ds_part lora_studio_ds_result", role: "status", hidden: true}),
            el("p", {class: "lora_studio_ds_help"}, t("Makes a copy of your set that is ready to train. What would be written is said below before anything is.")),
            ...sections(),
            el("section", {class: "lora_studio_ds_part"}, el("h4", {}, t("Before and after")), el("div", {id: `${ID}preview`, class: "lora_studio_ds_part"})),
            el("section", {class: "lora_studio_ds_part"}, el("h4", {}, t("What would be written")), place, el("div", {id: `${ID}plan`, class: "lora_studio_ds_part", "aria-live": "polite"}),
                el("p", {class: "lora_studio_ds_acts"}, button({id: `${ID}write`, label: t("Write the project"), kind: "primary", act: write}),
                    button({id: `${ID}undo`, label: t("Take the last one back"), act: undo, help: t("The project goes aside; what an update had replaced comes back.")}))));
        byId("write").disabled = true;
        byId("undo").hidden = true;
        visible();
        plan();
    }

    const box = () => document.getElementById("lora_studio_ds_panel_prepare");

    function shownNow() {
        if (!mine.schema || mine.root !== state.root) return box().dataset.building ? undefined : begin();
        refill();
        return plan();
    }

    function begin() {
        const place = box();
        place.dataset.building = "1";
        return api.attempt(() => start(place)).finally(() => delete place.dataset.building);
    }

    function told(what) {
        if (!mine.schema || !box() || box().hidden) return;
        if (mine.root !== state.root) begin();
        else if (what === "chosen") api.preparePreview.ask();
        else if (["repeats", "captions", "classes", "groups", "folders", "trigger"].includes(what)) { refill(); plan(); }
    }

    api.prepare = {asked};
    api.panel({name: "prepare", order: 50, title: () => t("Prepare"), build: () => undefined, shown: shownNow, changed: told, tasks: {prepare: {ended}}});
})();
