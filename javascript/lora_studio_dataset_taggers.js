// The step "Taggers" of the Dataset page: which tagger, what it says of the pictures, and which captions become of it.
// What was said is kept on the server, so thresholds and rules can be moved without asking again.
(() => {
    "use strict";
    const api = window.loraStudioDataset;
    if (!api || api.taggers) return;

    const ID = "lora_studio_ds_taggers_", KEPT = "taggers", WAIT = 180, SHOWN = 60;
    const {state, el, t, data, number} = api;
    const byId = (id) => document.getElementById(ID + id);
    const FIRST = {
        tagger: "", threshold: 0.5, reg_threshold: 0.35, character_threshold: 0.85, mcut: false, policy: "skip", mirror: "",
        first: "", last: "", keep: "", exclude: "", replace: "", expand: false, underscores: false, rating: false, copyright: false,
    };
    // `found`: what GET taggers said; `regularisation`: folders that are no part of the training set; `asked` numbers previews.
    const mine = {found: null, set: "", wish: {...FIRST, ...(api.kept(KEPT) || {})}, regularisation: new Set(), preview: null, asked: 0, timer: 0, trouble: "", fields: {}};

    const part = (name, title, help, ...children) => el("section", {class: "lora_studio_ds_part", "data-part": name}, el("h4", {}, title), help && el("p", {class: "lora_studio_ds_help"}, help), ...children);
    const fold = (name, title, ...children) => {
        const node = el("details", {class: "lora_studio_ds_fold", "data-part": name, open: (api.kept(`${KEPT}_${name}`) || false)}, el("summary", {}, title), el("div", {class: "lora_studio_ds_part"}, ...children));
        node.addEventListener("toggle", () => api.keep(`${KEPT}_${name}`, node.open));
        return node;
    };
    const list = (text) => text.split(",").map((one) => one.trim()).filter(Boolean);

    // ---- what is chosen

    const all = () => (mine.found ? mine.found.taggers : []);
    const chosen = () => all().find((one) => one.name === mine.wish.tagger) || all().find((one) => one.name === mine.found.default) || null;

    function rules() {
        const {first, last, keep, exclude, replace, expand, underscores, rating, copyright} = mine.wish;
        return {
            trigger: api.trigger.read(), first: list(first), last: list(last), keep: list(keep), exclude: list(exclude), replace: replace.split("\n").map((one) => one.trim()).filter(Boolean),
            expand, underscores, rating, categories: copyright ? ["character", "copyright", "general"] : ["character", "general"],
        };
    }

    function body() {
        const {threshold, reg_threshold, character_threshold, mcut, policy} = mine.wish;
        return {tagger: chosen() ? chosen().name : "", threshold, reg_threshold, character_threshold, reg_character_threshold: character_threshold, mcut, policy, rules: rules(), regularisation: [...mine.regularisation], ...api.scope()};
    }

    function wish(name, value) {
        mine.wish[name] = value;
        api.keep(KEPT, mine.wish);
        soon();
        for (const heard of mine.heard || []) heard();
    }

    // ---- the list of taggers

    async function load() {
        mine.found = await api.get("taggers");
        if (!all().some((one) => one.name === mine.wish.tagger)) mine.wish.tagger = (all().find((one) => one.name === mine.found.default && one.ready) || all().find((one) => one.ready) || {name: mine.found.default}).name;
        drawTagger();
        soon();
    }

    function named(one) {
        const ready = one.ready ? t("ready") : one.missing.files.length ? t("not here") : t("cannot run yet");
        return data([one.label, ready].join(" · "));
    }

    function drawTagger() {
        mine.fields.tagger.fill(all().map((one) => [one.name, named(one)]));
        const one = chosen(), box = byId("state");
        if (!one) return;
        mine.fields.tagger.write(one.name);
        box.dataset.state = one.ready ? "ready" : "missing";
        box.replaceChildren(...(one.ready ? ready(one) : missing(one)));
        byId("run").disabled = !one.ready;
    }

    function ready(one) {
        const hint = one.hint && el("p", {class: "lora_studio_ds_help"}, data(t("At a threshold of {hint} (“P=R” on its page) it writes as many wrong tags as it misses right ones. Above it captions are surer, below it fuller.", {hint: one.hint.toFixed(2)})));
        const give = one.loaded && el("p", {class: "lora_studio_ds_acts"}, api.fields.button({kind: "link", label: t("Give its memory back"), act: async () => { await api.post("dataset/tagger/unload", {}); await load(); }}));
        return [el("p", {class: "lora_studio_ds_help", title: one.place}, t("Ready, on this machine:"), " ", el("code", {}, data(one.place))), hint, one.sentence && el("p", {class: "lora_studio_ds_help"}, t("It writes a sentence in place of tags. Thresholds and rules about tags have no say in it; the trigger word and the tags around stand before and after it.")), give].filter(Boolean);
    }

    // Where its files belong, by hand or by a click. Nothing is fetched without one.
    function missing(one) {
        const files = one.missing.files.map((file) => el("li", {}, el("code", {}, data(file.name)), file.bytes ? el("small", {}, data(` ${megabytes(file.bytes)}`)) : "", " ",
            file.url ? el("a", {href: file.url, target: "_blank", rel: "noreferrer"}, data(file.url)) : ""));
        const mirror = api.fields.text({label: t("Mirror"), help: t("Another address of the hub, such as https://hf-mirror.com. Empty: the hub itself, or HF_ENDPOINT."), value: mine.wish.mirror, change: (value) => wish("mirror", value.trim())});
        const total = one.missing.files.reduce((sum, file) => sum + file.bytes, 0);
        const label = total ? t("Download ({size})", {size: megabytes(total)}) : t("Download");
        return [
            ...(files.length ? [el("p", {}, t("It is not on this machine. Put these files into this folder, or let them be downloaded:")),
                el("p", {}, el("code", {id: `${ID}folder`}, data(one.missing.folder))), el("ul", {class: "lora_studio_list"}, files)] : []),
            ...(one.missing.also || []).map((sentence) => el("p", {class: "lora_studio_ds_wrong"}, data(sentence))),
            one.missing.download && mirror, el("p", {class: "lora_studio_ds_acts"}, one.missing.download && api.fields.button({id: `${ID}download`, label, act: () => download(one)}), api.fields.button({kind: "link", label: t("Look again"), act: load})),
        ].filter(Boolean);
    }

    const megabytes = (bytes) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${Math.max(0.1, bytes / 1e6).toFixed(1)} MB`);

    async function download(one) {
        const found = await api.post("dataset/tagger/download", {tagger: one.name, endpoint: mine.wish.mirror});
        api.task(found.task, {title: t("Downloading {tagger}", {tagger: one.name}), ...HEARD.tagger});
    }

    // ---- tagging

    const HEARD = {
        tag: {ended: (task) => { tagged(task.result); load().catch(() => null); api.changed("tags"); soon(); }, told: () => { if (mine.preview && mine.preview.untagged) soon(1500); }},
        tagger: {ended: () => load().catch(() => null)},
    };

    async function run() {
        const found = await api.post("dataset/tag", {tagger: chosen().name, ...api.scope()});
        api.task(found.task, {title: t("Tagging"), ...HEARD.tag});
    }

    function tagged(result) {
        if (!result || result.tagged === undefined) return;
        api.say("good", t("{tagged} pictures tagged, {known} were known already. Look at the preview, then write the captions.", {tagged: number(result.tagged), known: number(result.known)}));
    }

    // ---- the preview follows every change; an answer that is late is not shown

    function soon(wait) {
        clearTimeout(mine.timer);
        mine.timer = setTimeout(preview, wait || WAIT);
    }

    async function preview() {
        const box = byId("preview");
        if (!box || !box.offsetParent || !mine.found || !state.set) return;
        const asked = ++mine.asked;
        try {
            const found = await api.post("dataset/tag/preview", body());
            if (asked !== mine.asked) return;
            Object.assign(mine, {preview: found, trouble: ""});
        } catch (error) {
            if (asked !== mine.asked) return;
            mine.trouble = error.message;
        }
        drawPreview();
        box.dataset.asked = asked;
    }

    function drawPreview() {
        const box = byId("preview"), found = mine.preview, n = scoped();
        byId("run").textContent = data(n === 1 ? t("Tag 1 picture") : t("Tag {n} pictures", {n: number(n)}));
        byId("write").disabled = !found || Boolean(mine.trouble) || !(found.target.changed + found.regularisation.changed);
        if (mine.trouble) return box.replaceChildren(el("p", {class: "lora_studio_ds_wrong", role: "alert"}, data(mine.trouble)));
        if (!found) return undefined;
        const changed = found.target.changed + found.regularisation.changed;
        byId("write").textContent = data(changed === 1 ? t("Write 1 caption") : t("Write {n} captions", {n: number(changed)}));
        const open = found.untagged && (found.untagged === 1 ? t("1 picture is not tagged yet.") : t("{n} pictures are not tagged yet.", {n: number(found.untagged)}));
        return box.replaceChildren(...[
            open && el("p", {class: "lora_studio_ds_help", id: `${ID}open`}, data(open)),
            side("target", mine.regularisation.size ? t("Training set") : t("Captions")), mine.regularisation.size > 0 && side("regularisation", t("Regularisation set")),
        ].filter(Boolean));
    }

    const scoped = () => api.scopeCount();

    function side(name, title) {
        const found = mine.preview[name];
        if (!found.pictures) return el("p", {class: "lora_studio_ds_help"}, data(t("{title}: no tagged pictures", {title})));
        const words = t("{title}: {n} pictures, {tags} different tags, {changed} captions change", {title, n: number(found.pictures), tags: number(found.different), changed: number(found.changed)});
        const empty = found.empty > 0 && el("p", {class: "lora_studio_ds_help"}, data(t("No tag is likely enough in {n} of them: their captions stay as they are.", {n: number(found.empty)})));
        const more = found.different > SHOWN && el("small", {}, data(t("and {n} more", {n: number(found.different - SHOWN)})));
        return el("div", {class: "lora_studio_ds_part", "data-side": name},
            el("p", {}, data(words)), empty,
            el("div", {class: "lora_studio_ds_moves"}, found.tags.slice(0, SHOWN).map(([tag, count]) => chip(tag, count)), more),
            found.examples.slice(0, 4).map((one) => el("div", {class: "lora_studio_ds_example"}, el("code", {}, data(one.key)),
                one.before && one.before !== one.after && el("p", {class: "lora_studio_ds_version"}, el("del", {}, data(one.before))),
                el("p", {class: "lora_studio_ds_version"}, data(one.after || t("no caption"))))));
    }

    // A click on a tag leaves it out of every caption; the field Exclude shows it, and another click there takes it back.
    function chip(tag, count) {
        return el("button", {type: "button", class: "lora_studio_ds_moved lora_studio_ds_pick", title: t("Leave this tag out"), "data-tag": tag, on: {click: () => exclude(tag)}}, data(tag), " ", el("small", {}, number(count)));
    }

    // How a field of names gets one more, or loses it.
    function toggled(name, tag, other) {
        const there = list(mine.wish[name]), plain = (one) => one.toLowerCase().replaceAll("_", " "), has = there.some((one) => plain(one) === plain(tag));
        const after = has ? there.filter((one) => plain(one) !== plain(tag)) : [...there, tag];
        if (other) put(other, list(mine.wish[other]).filter((one) => plain(one) !== plain(tag)).join(", "));
        put(name, after.join(", "));
        return !has;
    }

    function put(name, value) {
        mine.fields[name].write(value);
        wish(name, value);
    }

    const exclude = (tag) => toggled("exclude", tag, "keep");
    const keep = (tag) => toggled("keep", tag, "exclude");

    async function write() {
        await api.inTurn(async () => {
            const found = await api.post("dataset/tag/write", body());
            if (api.captions) api.captions.took(found);
            if (found.left_out.length) api.say("warning", found.left_out.join("\n"));
            if (!found.changed) return;
            if (api.captions) api.captions.did(found.what);
            api.say("good", found.said);
            await api.changed("captions");
        });
        soon();
    }

    // ---- drawing

    function slider(name, label, help) {
        const node = api.fields.slider({id: ID + name, label, help, value: FIRST[name], min: 0.05, max: 1, step: 0.01, typed: (value) => wish(name, value), change: (value) => wish(name, value)});
        node.write(mine.wish[name]);
        return (mine.fields[name] = node);
    }

    function text(name, label, help, more) {
        return (mine.fields[name] = api.fields.text({id: ID + name, label, help, value: mine.wish[name], typed: (value) => wish(name, value), ...more}));
    }

    const tick = (name, label, help) => (mine.fields[name] = api.fields.tick({id: ID + name, label, help, value: mine.wish[name], change: (value) => wish(name, value)}));

    // The trigger is the folder's; the step Captions has the same one.
    function triggered() {
        return (mine.fields.trigger = api.fields.text({id: `${ID}trigger`, label: t("Trigger word"), help: t("The first tag of every caption of the training set, and of none of the regularisation set."), value: api.trigger.read(), placeholder: "uiharu_kazari", typed: api.trigger.write}));
    }

    // Folders of this set that are no part of the training set, or a folder elsewhere, which is opened to be tagged.
    function folders() {
        const box = byId("folders"), from = api.reg.of(), path = api.reg.read(), elsewhere = path && !api.reg.inside(path);
        const ticked = (one, is) => { mine.regularisation[is ? "add" : "delete"](one.key || "."); ticksTold(); soon(); };
        const back = () => [el("p", {class: "lora_studio_ds_help"}, data(t("This is the regularisation set of {folder}: all of it gets the lower threshold and never the trigger.", {folder: from}))),
            el("p", {class: "lora_studio_ds_acts"}, api.fields.button({id: `${ID}back`, label: t("Back to the training set"), act: () => api.open(from)}))];
        const ticks = () => [el("span", {class: "lora_studio_ds_help"}, t("Ticked folders get the lower threshold and never the trigger.")),
            ...state.folders.map((one) => api.fields.tick({label: data(one.key || t("the folder itself")), value: mine.regularisation.has(one.key || "."), change: (is) => ticked(one, is)}))];
        byId("reg").hidden = Boolean(from);
        byId("elsewhere").hidden = Boolean(from) || !elsewhere;
        box.replaceChildren(...(from ? back() : state.folders.length > 1 ? ticks() : []));
    }

    // What a folder is called tells what it is, until somebody says otherwise.
    function opened() {
        if (mine.set === state.set) return;
        mine.set = state.set;
        mine.preview = null;
        const held = api.kept(`${KEPT}_reg`), guessed = state.folders.map((one) => one.key).filter((key) => key.split("/").some((name) => /^(\d+_)?reg(ul|$|[_ -])|正则/i.test(name)));
        mine.regularisation = new Set(api.reg.of() ? state.folders.map((one) => one.key || ".") : held && held.root === state.root ? held.folders : guessed);
        ticksTold();
        triggerShown();
    }

    const triggerShown = () => { const node = mine.fields.trigger; if (node && node.field !== document.activeElement) node.write(api.trigger.read()); };

    // Ticked folders and the folder that the other steps are told are one and the same: the folder that all ticked ones lie in.
    function ticksTold() {
        api.keep(`${KEPT}_reg`, {root: state.root, folders: [...mine.regularisation]});
        if (api.reg.of()) return;
        const ticked = [...mine.regularisation].filter((one) => one !== ".").map((one) => one.split("/")), shared = [];
        while (ticked.length && ticked[0][shared.length] !== undefined && ticked.every((one) => one[shared.length] === ticked[0][shared.length])) shared.push(ticked[0][shared.length]);
        const now = api.reg.read(), separator = state.root.includes("\\") ? "\\" : "/";
        mine.telling = true;
        if (shared.length && (!now || api.reg.inside(now))) api.reg.write([state.root, ...shared].join(separator));
        else if (!ticked.length && api.reg.inside(now)) api.reg.write("");
        mine.telling = false;
    }

    function regTold() {
        const rest = api.reg.inside(api.reg.read());
        if (!mine.telling && rest) mine.regularisation = new Set(state.folders.map((one) => one.key).filter((key) => key === rest || key.startsWith(`${rest}/`)));
        folders();
        soon();
    }

    function build(box) {
        const tagger = (mine.fields.tagger = api.fields.select({id: `${ID}tagger`, name: t("Tagger"), help: t("wd-vit-large-tagger-v3 is a good choice for drawn pictures. What runs on the graphics card is told while it works."), options: [], change: (value) => { wish("tagger", value); drawTagger(); }}));
        box.append(
            part("tagger", t("Tagger"), "", tagger, el("div", {id: `${ID}state`, class: "lora_studio_ds_part"}),
                el("p", {class: "lora_studio_ds_acts"}, api.fields.button({id: `${ID}run`, kind: "primary", label: t("Tag"), act: run}),
                    el("span", {class: "lora_studio_ds_help"}, t("This writes nothing: what the tagger says is kept, and everything below can be moved afterwards.")))),
            part("thresholds", t("How many tags"), "",
                slider("threshold", t("Training set"), t("A tag is written from this probability on. Few, sure tags: 0.5.")),
                slider("reg_threshold", t("Regularisation set below"), t("More tags, so that they cover those of the training set: 0.35.")),
                slider("character_threshold", t("Characters"), t("Names of characters need to be surer: 0.85.")),
                tick("mcut", t("Find the threshold for each picture (MCut)"), t("At the widest gap between two probabilities."))),
            part("regularisation", t("Regularisation set"), t("Pictures that should not get the trigger. They lie in a folder of their own, inside of this one or elsewhere."),
                el("div", {id: `${ID}folders`, class: "lora_studio_ds_field", role: "group", "aria-label": t("Regularisation set")}),
                el("div", {id: `${ID}reg`}, api.reg.field({id: `${ID}reg_folder`, help: t("The steps Captions and Check have the same one. Empty without one.")})),
                el("p", {class: "lora_studio_ds_acts", id: `${ID}elsewhere`}, api.fields.button({id: `${ID}openreg`, label: t("Open it to tag it"), act: () => api.reg.open("taggers")}))),
            part("rules", t("Rules"), "", triggered(),
                text("exclude", t("Exclude"), t("Never written, such as features the trigger should learn. Commas between; /expressions/ match whole names.")),
                text("keep", t("Keep"), t("Written wherever the tagger sees it at all (from 0.05 up), such as censored.")),
                fold("more", t("More rules"),
                    text("first", t("Additional tags in front"), t("After the trigger, before all others.")), text("last", t("Additional tags at the end"), ""),
                    text("replace", t("Replace"), t("One a line: old name -> new tags. An /expression/ on the left may be used as \\1 on the right; nothing on the right removes."), {lines: 3}),
                    tick("expand", t("Split characters and their series"), t("name_(series) becomes two tags.")), tick("copyright", t("Write series too"), t("Only some taggers know them.")),
                    tick("rating", t("Write the rating"), ""), tick("underscores", t("Leave underscores"), t("Captions have spaces; faces such as ^_^ always stay.")))),
            part("policy", t("Captions that are there"), "", (mine.fields.policy = api.fields.choice({id: `${ID}policy`, value: mine.wish.policy, change: (value) => wish("policy", value), options: [
                ["skip", t("leave them"), t("Only pictures without a caption get one.")], ["overwrite", t("replace them"), t("The new tags take the place of what stands there.")],
                ["prepend", t("new tags before them"), t("What stands there stays, behind the new tags; nothing comes twice.")], ["append", t("new tags after them"), t("What stands there stays, before the new tags; nothing comes twice.")],
            ]}))),
            part("preview", t("What will be written"), t("A click on a tag leaves it out of all captions."), el("div", {id: `${ID}preview`, class: "lora_studio_ds_told_batch", role: "status"}),
                el("p", {class: "lora_studio_ds_acts"}, api.fields.button({id: `${ID}write`, kind: "primary", label: t("Write"), act: write}), el("span", {class: "lora_studio_ds_help"}, t("Into the captions of this page. Files are written by Save; undo takes it back.")))));
        byId("write").disabled = true;
        for (const build of mine.boxes) build(box);
        opened();
        folders();
        api.attempt(load);
    }

    function changed(what) {
        if (what === "set") opened();
        if (what === "trigger") triggerShown();
        if (what === "reg") regTold();
        if (["set", "folders"].includes(what)) folders();
        if (["set", "where", "picked", "captions", "tags", "folders", "trigger"].includes(what)) soon();
    }

    function shown() {
        triggerShown();
        soon();
    }

    mine.boxes = [];
    mine.heard = [];
    // `box(build)` adds a part at the end; `heard(act)` is told of every change of thresholds and rules.
    api.taggers = {box: (build) => mine.boxes.push(build), heard: (act) => mine.heard.push(act), chosen, rules, wish: mine.wish, keep, exclude, part, list};
    api.panel({name: "taggers", title: () => t("Taggers"), order: 20, narrowed: true, build, changed, shown, tasks: HEARD});
})();
