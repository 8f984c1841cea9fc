// The Dataset page's right side: the chosen picture, what training will see of it, its class, and what other parts draw below.
(() => {
    "use strict";
    const api = window.loraStudioDataset;
    if (!api || api.picture) return;

    const ID = "lora_studio_ds_";
    const {state, el, t, data, number, parts} = api;
    const byId = (id) => document.getElementById(ID + id);
    let shown = "";

    function build(box) {
        box.append(el("div", {id: `${ID}picture`}), el("div", {id: `${ID}details`}));
    }

    function changed(what) {
        if (["rows", "chosen"].includes(what)) draw();
    }

    function draw() {
        const row = api.gallery.row(state.chosen), text = JSON.stringify([row, state.resolution]);
        if (text === shown) return;
        shown = text;
        byId("picture").replaceChildren(...(row ? [el("p", {}, data(row.name))] : [el("p", {class: "lora_studio_message"}, t("Click a picture to see it large."))]));
        byId("details").replaceChildren();
        if (!row) return;
        for (const part of parts.details) {
            const box = el("section", {class: "lora_studio_ds_detail", "data-part": part.name});
            byId("details").append(box);
            part.draw(box, row, api);
        }
    }

    api.picture = {build, changed, draw};
    void number;
})();
