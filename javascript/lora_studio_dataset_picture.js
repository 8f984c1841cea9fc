// The Dataset page's right side: the chosen picture, what training will see of it, its class, and what other parts draw below.
(() => {
    "use strict";
    const api = window.loraStudioDataset;
    if (!api || api.picture.build) return;

    const ID = "lora_studio_ds_", MOST = 8, SVG = "http://www.w3.org/2000/svg";
    const {state, el, t, data, number, parts} = api;
    const byId = (id) => document.getElementById(ID + id);
    const percent = (share) => number(Math.round(1000 * share) / 10);
    let shown = "", drawnKey = "";

    const PLAIN = ["simple background", "white background", "transparent background", "grey background", "black background", "gradient background", "no background"];
    const PLACES = ["outdoors", "indoors", "scenery", "sky", "room", "city", "forest", "street", "building", "landscape", "beach", "water", "tree", "bedroom", "classroom"];
    const BARE = ["nude", "completely nude", "topless", "bottomless"];

    // What a picture strengthens besides, as people who train styles found out.
    function hints(row) {
        const tags = new Set(row.tags.map((tag) => tag.toLowerCase().replaceAll("_", " "))), has = (list) => list.some((tag) => tags.has(tag)), flags = row.flags.map((flag) => flag.kind);
        return [
            row.kind.name ? (state.teaches || {})[row.kind.name] : t("Without a class it counts as a main visual until you choose one."),
            (flags.includes("grey") || flags.includes("tinted")) && t("Black and white strengthens lines and lighting."),
            has(BARE) && t("Bare skin strengthens muscle lines."),
            !has(BARE) && [...tags].some((tag) => / (shirt|dress|skirt|uniform|jacket|kimono)$|^(shirt|dress|skirt|kimono|armor)$/.test(` ${tag}`.trim())) && t("Clothes strengthen the costume."),
            has(PLAIN) && t("A plain background makes the tags more exact."),
            !has(PLAIN) && has(PLACES) && t("A background teaches backgrounds."),
        ].filter(Boolean);
    }

    // ---- the picture with what training cuts off dimmed, and bars that are in it already

    function shape(name, attributes) {
        const node = document.createElementNS(SVG, name);
        for (const key in attributes) node.setAttribute(key, attributes[key]);
        return node;
    }

    function overlay(row) {
        const [width, height] = row.size, layer = shape("svg", {viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", class: "lora_studio_ds_overlay", "aria-hidden": "true"});
        if (row.box) {
            const [left, top, right, bottom] = row.box;
            layer.append(shape("path", {class: "lora_studio_ds_dim", "fill-rule": "evenodd", d: `M0 0H${width}V${height}H0ZM${left} ${top}V${bottom}H${right}V${top}Z`}));
            layer.append(shape("rect", {class: "lora_studio_ds_crop", x: left, y: top, width: right - left, height: bottom - top, "vector-effect": "non-scaling-stroke"}));
        }
        if (row.bars) {
            const [left, top, right, bottom] = row.bars;
            const bars = [[0, 0, left, height], [0, 0, width, top], [width - right, 0, right, height], [0, height - bottom, width, bottom]];
            for (const [x, y, w, h] of bars) if (w > 0 && h > 0) layer.append(shape("rect", {class: "lora_studio_ds_barred", x, y, width: w, height: h, "vector-effect": "non-scaling-stroke"}));
        }
        for (const [left, top, right, bottom] of row.faces || []) layer.append(shape("rect", {class: "lora_studio_ds_face", x: left, y: top, width: right - left, height: bottom - top, "vector-effect": "non-scaling-stroke"}));
        return layer;
    }

    function cut(row) {
        if (!row.bucket) return t("It cannot be trained.");
        const [left, top, right, bottom] = row.box, [width, height] = row.size, sides = left > 0.5 || width - right > 0.5, ends = top > 0.5 || height - bottom > 0.5;
        const values = {bucket: row.bucket.join(" × "), percent: percent(row.lost)};
        const lost = row.lost < 0.0005 ? t("Trained as {bucket}, nothing is cut off", values)
            : sides && !ends ? t("Trained as {bucket}, {percent} % is cut off at the sides", values)
            : ends && !sides ? t("Trained as {bucket}, {percent} % is cut off above and below", values) : t("Trained as {bucket}, {percent} % is cut off", values);
        const scale = row.upscale >= 1.005 ? t("enlarged ×{factor}", {factor: row.upscale.toFixed(2)}) : row.upscale <= 0.995 ? t("reduced ×{factor}", {factor: row.upscale.toFixed(2)}) : t("at its own size");
        return t("{first}; {second}.", {first: lost, second: scale});
    }

    function large(row) {
        if (row.flaw) return el("p", {class: "lora_studio_ds_broken"}, data(row.flaw));
        const image = el("img", {src: row.picture, alt: row.name, decoding: "async", width: row.size[0], height: row.size[1]});
        return el("div", {class: "lora_studio_ds_large", style: `--ratio:${row.size[0] / row.size[1]}`}, image, overlay(row));
    }

    // ---- its class

    function certainty(row) {
        if (row.kind.by === "hand") return t("Chosen by you");
        if (!row.kind.name) return t("Not sorted yet");
        return t("Guessed, {percent} % sure", {percent: Math.round(100 * row.kind.confidence)});
    }

    function classes(row) {
        const buttons = api.gallery.kinds().map(([kind, name], place) => el("button", {
            type: "button", class: "lora_studio_button lora_studio_ds_class", "data-kind": kind, "aria-pressed": String(row.kind.name === kind), title: t("Key {n}", {n: place + 1}),
            on: {click: () => api.gallery.classify(kind, [row.key])},
        }, el("kbd", {}, String(place + 1)), " ", name));
        const again = row.kind.by === "hand" && el("button", {type: "button", class: "lora_studio_link", on: {click: () => api.gallery.classify(null, [row.key])}}, t("Let it be guessed"));
        const why = row.kind.by === "hand" || !row.kind.name ? "" : row.kind.why;
        return el("section", {class: "lora_studio_ds_detail", "data-part": "class"},
            el("div", {class: "lora_studio_ds_classes", role: "group", "aria-label": t("Class")}, buttons),
            el("p", {class: "lora_studio_ds_help"}, el("strong", {}, data(certainty(row))), why ? data(` · ${why}`) : "", again && " ", again),
            el("p", {class: "lora_studio_ds_hints"}, data(hints(row).join(" "))));
    }

    // ---- what should be known of it

    function told(row) {
        if (!row.flags.length && !row.group) return null;
        const others = (row.flags.some((flag) => ["exact", "near", "flip"].includes(flag.kind)) || row.group) && el("button", {type: "button", class: "lora_studio_link", on: {click: () => together(row)}}, t("Show them together"));
        const out = row.group && el("button", {type: "button", class: "lora_studio_link", on: {click: () => grouped([row.key], "")}}, t("Not of this group"));
        return el("section", {class: "lora_studio_ds_detail", "data-part": "flags"},
            el("ul", {class: "lora_studio_ds_told"}, row.flags.map((flag) => el("li", {}, el("span", {class: "lora_studio_ds_flag", "data-flag": flag.kind}, api.gallery.flagName(flag.kind)), el("span", {}, data(flag.text))))),
            row.copies.length > 1 && el("ul", {class: "lora_studio_ds_copies"}, row.copies.slice(0, MOST).map((one, place) => copy(row, one, place))),
            (others || out) && el("p", {class: "lora_studio_ds_acts"}, others, out));
    }

    // What speaks for each copy, the best one first.
    function copy(row, one, place) {
        const words = [one.size.join(" × "), one.caption ? t("with a caption") : t("no caption"), one.key === row.key && t("this one")].filter(Boolean).join(" · ");
        return el("li", {"data-best": place ? undefined : "1", title: one.key}, el("span", {}, data(one.key)), el("small", {}, data(words)), !place && el("strong", {}, t("the best copy")));
    }

    const together = (row) => api.narrow({...api.NOWHERE, keys: [...new Set([row.key, ...(row.others || []), ...(row.group ? row.group.keys : [])])]});

    async function grouped(keys, group) {
        await api.attempt(async () => {
            const send = (body) => api.post("dataset/group", body).then((answer) => api.changed("groups").then(() => answer));
            const {before} = await send({keys, group});
            api.did({text: t("Group"), undo: () => send({before}), redo: () => send({keys, group})});
        });
    }

    // ---- life

    function build(box) {
        box.append(el("div", {id: `${ID}picture`}), el("div", {id: `${ID}details`}));
        draw();
    }

    function changed(what) {
        if (["rows", "chosen"].includes(what)) draw();
    }

    function empty() {
        const keys = [["1 – 4", t("face close-up, main visual, full body, discard")], ["← →", t("the picture before, the next one")], ["Ctrl/Shift/Space", t("pick several: what you do then is done to these")],
            ["Delete", t("to the trash, from which it comes back")], ["Ctrl Z", t("take back")], ["Esc", t("pick none")]];
        return el("div", {class: "lora_studio_ds_keys"}, el("p", {}, t("Click a picture to see it large, with what training cuts off.")),
            el("dl", {}, keys.flatMap(([key, text]) => [el("dt", {}, ...key.split("/").map((one) => el("kbd", {}, data(one)))), el("dd", {}, text)])));
    }

    function draw() {
        const row = api.gallery.row(state.chosen), text = JSON.stringify(row || null);
        if (text === shown) return;
        shown = text;
        const box = byId("picture"), same = row && drawnKey === row.key && box.querySelector(".lora_studio_ds_large");
        drawnKey = row ? row.key : "";
        if (!row) {
            box.replaceChildren(empty());
            return byId("details").replaceChildren();
        }
        // The image itself stays while it is the same one: nothing flickers when its row changes.
        const picture = same || large(row);
        if (same && same.querySelector("svg")) same.querySelector("svg").replaceWith(overlay(row));
        const size = row.flaw ? "" : ` · ${row.size.join(" × ")}`;
        const nodes = [picture, el("p", {class: "lora_studio_ds_title"}, el("strong", {title: row.key}, data(row.name)), el("span", {}, data(size))), !row.flaw && el("p", {class: "lora_studio_ds_cut"}, data(cut(row))), !row.flaw && classes(row), told(row)];
        box.replaceChildren(...nodes.filter(Boolean));
        byId("details").replaceChildren(...parts.details.map((part) => {
            const place = el("section", {class: "lora_studio_ds_detail", "data-part": part.name});
            part.draw(place, row, api);
            return place;
        }));
        return undefined;
    }

    Object.assign(api.picture, {build, changed, draw, grouped});
})();
