// The chosen picture before and after preparing: what is cut out is drawn on it, and a box drawn around its face decides where.
(() => {
    "use strict";
    const api = window.loraStudioDataset;
    if (!api || api.preparePreview) return;

    const ID = "lora_studio_ds_prepare_", SVG = "http://www.w3.org/2000/svg", SMALLEST = 0.02;
    const {state, el, t, data, number} = api;
    const byId = (id) => document.getElementById(ID + id);
    let asked = 0, found = null, drawn = null;

    function shape(name, attributes) {
        const node = document.createElementNS(SVG, name);
        for (const key in attributes) node.setAttribute(key, attributes[key]);
        return node;
    }

    function overlay(answer) {
        const [width, height] = answer.size, [left, top, right, bottom] = answer.box;
        const layer = shape("svg", {viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", class: "lora_studio_ds_overlay", "aria-hidden": "true"});
        layer.append(shape("path", {class: "lora_studio_ds_dim", "fill-rule": "evenodd", d: `M0 0H${width}V${height}H0ZM${left} ${top}H${right}V${bottom}H${left}Z`}));
        layer.append(shape("rect", {class: "lora_studio_ds_crop", x: left, y: top, width: right - left, height: bottom - top, "vector-effect": "non-scaling-stroke"}));
        if (answer.face) layer.append(face(answer.face));
        return layer;
    }

    const face = ([left, top, right, bottom]) => shape("rect", {class: "lora_studio_ds_face", x: left, y: top, width: right - left, height: bottom - top, "vector-effect": "non-scaling-stroke"});

    // ---- a box around the face, drawn with the mouse or a finger

    function point(event, node, size) {
        const area = node.getBoundingClientRect();
        const share = (value, from, length) => Math.min(1, Math.max(0, (value - from) / length));
        return [Math.round(share(event.clientX, area.left, area.width) * size[0]), Math.round(share(event.clientY, area.top, area.height) * size[1])];
    }

    const between = (one, other) => [Math.min(one[0], other[0]), Math.min(one[1], other[1]), Math.max(one[0], other[0]), Math.max(one[1], other[1])];

    function drawable(node, answer) {
        node.addEventListener("pointerdown", (event) => {
            if (event.button) return;
            event.preventDefault();
            node.setPointerCapture(event.pointerId);
            drawn = {from: point(event, node, answer.size), box: null};
        });
        node.addEventListener("pointermove", (event) => {
            if (!drawn) return;
            drawn.box = between(drawn.from, point(event, node, answer.size));
            for (const old of node.querySelectorAll(".lora_studio_ds_face")) old.remove();
            node.querySelector("svg").append(face(drawn.box));
        });
        node.addEventListener("pointerup", () => {
            const box = drawn && drawn.box;
            drawn = null;
            if (box && box[2] - box[0] > SMALLEST * answer.size[0] && box[3] - box[1] > SMALLEST * answer.size[1]) keep(answer.key, box);
            else if (box) show(answer);
        });
        node.addEventListener("pointercancel", () => { drawn = null; show(answer); });
    }

    function keep(key, box) {
        return api.attempt(async () => {
            const send = (one) => api.post("dataset/prepare/face", {key, box: one}).then((answer) => { ask(); return answer; });
            const {before} = await send(box);
            api.did({text: t("Face"), undo: () => send(before), redo: () => send(box)});
        });
    }

    // ---- what is shown

    const figure = (words, ...children) => el("figure", {class: "lora_studio_ds_beside"}, ...children, el("figcaption", {}, data(words)));

    function show(answer) {
        const box = byId("preview");
        if (!box) return;
        const row = answer && api.gallery.row(answer.key);
        if (!answer || !row) return box.replaceChildren(el("p", {class: "lora_studio_ds_help"}, t("Click a picture in the middle to see what becomes of it.")));
        const ratio = (size) => `--ratio:${size[0] / size[1]}`, times = (size) => size.map(number).join(" × ");
        const before = el("div", {class: "lora_studio_ds_large", id: `${ID}before`, style: ratio(answer.size), "data-box": answer.box.join(",")}, el("img", {src: row.picture, alt: row.name, draggable: "false"}), overlay(answer));
        const after = el("div", {class: "lora_studio_ds_large", style: ratio(answer.result)}, el("img", {id: `${ID}after`, src: answer.picture, alt: t("After preparing")}));
        if (answer.follows) drawable(before, answer);
        before.classList.toggle("lora_studio_ds_drawn_on", answer.follows);
        const forget = answer.drawn && el("button", {type: "button", class: "lora_studio_link", id: `${ID}forget`, on: {click: () => keep(answer.key, null)}}, t("Forget the face"));
        const lines = [
            answer.follows && (answer.drawn ? t("The cut follows the face you marked.") : answer.face ? t("The cut follows the face that the detector found. If it is another one, draw a box around yours.") : t("Does it miss the face? Draw a box around the face, and the cut follows it.")),
            answer.enlarged && t("It is too small and is enlarged; the upscaler itself is not run for this preview."),
            answer.flip && answer.flip.caption && t("Mirrored copy: {caption}", {caption: answer.flip.caption}),
            answer.caption ? t("Caption: {caption}", {caption: answer.caption}) : t("It has no caption."),
        ].filter(Boolean);
        box.replaceChildren(
            el("div", {class: "lora_studio_ds_pair"}, figure(t("Before: {size}", {size: times(answer.size)}), before), figure(answer.made ? t("After: {size}", {size: times(answer.result)}) : t("After: as it is"), after)),
            ...lines.map((line) => el("p", {class: "lora_studio_ds_help"}, data(line))), forget || "");
        return undefined;
    }

    // Asks for the picture that is chosen, with the settings as they are now; only the last answer is drawn.
    async function ask() {
        const mine = ++asked, row = api.gallery.row(state.chosen);
        if (!byId("preview")) return;
        if (!row || row.flaw) {
            found = null;
            show(null);
            return;
        }
        try {
            const answer = await api.post("dataset/prepare/preview", {...api.prepare.asked(), key: row.key});
            if (mine !== asked || drawn) return;
            found = answer;
            show(answer);
        } catch (error) {
            if (mine === asked) byId("preview").replaceChildren(el("p", {class: "lora_studio_ds_help"}, data(error.message)));
        }
    }

    api.preparePreview = {ask, show: () => show(found)};
})();
