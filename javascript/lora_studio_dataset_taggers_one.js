// One picture in the step "Taggers": drop it, see what the tagger says as bars, keep or exclude tags, take the caption into a prompt.
(() => {
    "use strict";
    const api = window.loraStudioDataset, taggers = api && api.taggers;
    if (!taggers || taggers.one) return;

    const ID = "lora_studio_ds_taggers_one_", FLOOR = 0.1, MOST = 60, WAIT = 250, LARGEST = 22e6;
    const {el, t, data} = api;
    const byId = (id) => document.getElementById(ID + id);
    const mine = {image: "", found: null, asked: 0, timer: 0};
    const plain = (name) => name.toLowerCase().replaceAll("_", " ");
    const holds = (field, name) => taggers.list(taggers.wish[field]).some((one) => plain(one) === plain(name));

    // ---- the picture

    function read(file) {
        if (!file) return;
        if (file.size > LARGEST) return void api.say("error", t("This picture is larger than {n} MB.", {n: Math.round(LARGEST / 1e6)}));
        const reader = new FileReader();
        reader.addEventListener("load", () => { mine.image = reader.result; byId("image").src = reader.result; byId("image").hidden = false; api.attempt(ask); });
        reader.addEventListener("error", () => api.say("error", t("This file could not be read.")));
        reader.readAsDataURL(file);
    }

    async function taken() {
        const row = api.state.rows.find((one) => one.key === api.state.chosen);
        if (!row) return void api.say("warning", t("Choose a picture in the middle first."));
        const response = await fetch(row.picture, {credentials: "same-origin"});
        if (!response.ok) throw new Error(t("The server answered {status}.", {status: response.status}));
        read(await response.blob());
    }

    async function ask() {
        const one = taggers.chosen();
        if (!mine.image || !one) return;
        const asked = ++mine.asked, {threshold, character_threshold, mcut} = taggers.wish;
        byId("bars").dataset.state = "asking";
        const found = await api.post("tag", {image: mine.image, tagger: one.name, threshold, character_threshold, mcut, floor: FLOOR, rules: taggers.rules()});
        if (asked !== mine.asked) return;
        mine.found = found;
        draw();
    }

    // Thresholds and rules move over the same answer: the server remembers it.
    function moved() {
        if (!mine.found) return;
        clearTimeout(mine.timer);
        mine.timer = setTimeout(() => api.attempt(ask), WAIT);
    }

    // ---- what it says

    function bar(name, value) {
        const character = mine.found.categories[name] === "character", limit = character ? taggers.wish.character_threshold : taggers.wish.threshold;
        const how = holds("exclude", name) ? "exclude" : holds("keep", name) ? "keep" : !taggers.wish.mcut && value > limit ? "in" : "out";
        const words = {exclude: t("excluded"), keep: t("kept"), in: "", out: ""}[how];
        // The first click leaves a written tag out and keeps one that is not; the second takes that back.
        const act = () => { (how === "exclude" || how === "in" ? taggers.exclude : taggers.keep)(name); draw(); };
        const title = {exclude: t("Excluded; a click takes that back"), keep: t("Kept; a click takes that back"), in: t("Click to exclude it"), out: t("Click to keep it in spite of its threshold")}[how];
        return el("button", {type: "button", class: "lora_studio_ds_score", "data-tag": name, "data-how": how, title, on: {click: act}},
            el("span", {class: "lora_studio_ds_scored", style: `width:${(100 * value).toFixed(1)}%`}), el("span", {class: "lora_studio_ds_tagname"}, data(name), words && el("small", {}, ` ${words}`)),
            el("span", {class: "lora_studio_ds_tokens"}, value.toFixed(2)));
    }

    function draw() {
        const found = mine.found, box = byId("bars");
        if (!found) return;
        const [rating] = Object.entries(found.rating);
        box.replaceChildren(...Object.entries(found.tags).slice(0, MOST).map(([name, value]) => bar(name, value)));
        box.dataset.state = "done";
        byId("rating").textContent = rating ? data(t("Rating: {rating} ({percent} %)", {rating: rating[0], percent: Math.round(100 * rating[1])})) : "";
        byId("device").textContent = data([t("{tagger}, on {device}", {tagger: found.tagger, device: found.device}), ...found.notes].join(" · "));
        byId("caption").value = found.caption;
        byId("result").hidden = false;
        byId("send").hidden = !sender();
    }

    // ---- into a prompt: there, a parenthesis is a weight unless it is escaped

    const sender = () => (window.loraStudio && window.loraStudio.tryIt) || (window.loraStudioWebui && window.loraStudioWebui.tryIt()) || null;
    const escaped = (caption) => caption.replace(/[\\()]/g, "\\$&");

    function send() {
        const text = byId("caption").value.trim();
        if (text) sender()(escaped(text));
    }

    function build(box) {
        const file = el("input", {type: "file", accept: "image/*", id: `${ID}file`, class: "lora_studio_offscreen", "aria-label": t("A picture to look at"), on: {change: () => { read(file.files[0]); file.value = ""; }}});
        const drop = el("div", {class: "lora_studio_ds_drop", id: `${ID}drop`, on: {
            dragover: (event) => { event.preventDefault(); drop.dataset.over = "1"; }, dragleave: () => delete drop.dataset.over,
            drop: (event) => { event.preventDefault(); delete drop.dataset.over; read(event.dataTransfer.files[0]); },
            paste: (event) => read([...event.clipboardData.files][0]),
        }, tabindex: 0}, el("img", {id: `${ID}image`, alt: t("The picture that was dropped"), hidden: true}), el("p", {}, t("Drop a picture here, paste it, or")),
            el("p", {class: "lora_studio_ds_acts"}, api.fields.button({label: t("Choose a file"), act: () => file.click()}), api.fields.button({id: `${ID}chosen`, label: t("Take the chosen picture"), act: taken})), file);
        const caption = el("textarea", {id: `${ID}caption`, class: "lora_studio_ds_input", rows: 3, "aria-label": t("Its caption"), spellcheck: "false"});
        const result = el("div", {id: `${ID}result`, class: "lora_studio_ds_part", hidden: true}, el("div", {id: `${ID}bars`, class: "lora_studio_ds_bars", role: "group", "aria-label": t("Probabilities")}),
            el("p", {class: "lora_studio_ds_help", id: `${ID}rating`}), caption, el("p", {class: "lora_studio_ds_help", id: `${ID}device`}),
            el("p", {class: "lora_studio_ds_acts"}, api.fields.button({id: `${ID}send`, label: window.loraStudioAlone ? t("Send to Generate") : t("Send to txt2img"), act: send})));
        box.append(taggers.part("one", t("Try one picture"), t("What the tagger says of a single picture. A click on a bar keeps or excludes the tag, for all captions."), drop, result));
    }

    taggers.one = {ask};
    taggers.box(build);
    taggers.heard(moved);
})();
