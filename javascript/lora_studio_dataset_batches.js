// The batch helper below the repeats: batch size × gradient accumulation = repeats × pictures, from the buckets of the open folder.
(() => {
    "use strict";
    const api = window.loraStudioDataset;
    if (!api || api.batches) return;

    const ID = "lora_studio_ds_batches_", KEPT = "batches";
    const {state, el, t, data, number} = api;
    const byId = (id) => document.getElementById(ID + id);
    const wish = {repeats: 2, computed: false, limit: 4, steps: 1, regularised: false, ...(api.kept(KEPT) || {})};
    let asked = 0;

    async function compute() {
        const mine = ++asked;
        api.keep(KEPT, wish);
        byId("fixed").disable(wish.computed);
        try {
            const repeats = wish.computed && state.repeats ? state.repeats.repeats : wish.repeats;
            const found = await api.post("dataset/batches", {repeats, limit: wish.limit, steps: wish.steps, regularised: wish.regularised, resolution: state.resolution || 0});
            if (mine === asked) draw(found);
        } catch (error) {
            if (mine === asked) byId("answer").replaceChildren(window.loraStudioView.notes("error", t("That did not work"), [error.message]));
        }
    }

    function draw(found) {
        const heads = [t("Batch size"), t("Gradient accumulation"), t("Steps per epoch"), t("Accumulation for {n} per epoch", {n: number(wish.steps)})];
        const row = (pair) => el("tr", {"data-batch": pair.batch}, el("th", {}, number(pair.batch)), el("td", {}, data(number(pair.accumulation))), el("td", {}, data(number(pair.steps))),
            el("td", {}, data(pair.reached === wish.steps ? number(pair.wanted) : t("{wanted} (gives {reached})", {wanted: number(pair.wanted), reached: number(pair.reached)}))));
        const buckets = found.buckets.map((one) => t("{n} in {width}×{height}", {n: number(one.pictures), width: one.bucket[0], height: one.bucket[1]}));
        byId("answer").replaceChildren(
            el("ul", {class: "lora_studio_list lora_studio_sentences"}, found.sentences.map((text) => el("li", {}, data(text)))),
            el("table", {class: "lora_studio_table lora_studio_ds_repeats", id: `${ID}table`}, el("thead", {}, el("tr", {}, heads.map((text) => el("th", {}, data(text))))), el("tbody", {}, found.pairs.map(row))),
            el("p", {class: "lora_studio_ds_help"}, data(t("Pictures with their repeats: {buckets}.", {buckets: buckets.join(", ")}))));
        byId("answer").dataset.product = String(found.product);
    }

    function build(box) {
        const change = (name) => (value) => { wish[name] = value; return compute(); };
        const fixed = api.fields.number({id: `${ID}repeats`, label: t("Repeats of every picture"), min: 1, max: 1000, value: wish.repeats, change: change("repeats"), help: t("2 is usual for this way of training.")});
        const part = (id, node) => { const found = el("div", {id: ID + id}, node); found.disable = (is) => node.disable(is); return found; };
        const fold = el("details", {class: "lora_studio_files", id: `${ID}fold`},
            el("summary", {}, t("A batch as large as the set")),
            el("div", {class: "lora_studio_ds_part"},
                el("p", {class: "lora_studio_ds_help"}, t("For LoKr with a regularisation set one step sees all pictures: batch size × gradient accumulation = repeats × pictures. Accumulation costs no memory.")),
                part("fixed", fixed),
                api.fields.tick({id: `${ID}computed`, label: t("Take the repeats above"), value: wish.computed, change: change("computed")}),
                api.fields.number({id: `${ID}limit`, label: t("Largest batch your card takes"), min: 1, max: 64, value: wish.limit, change: change("limit"), help: t("1 below 10 GB; try what fits.")}),
                api.fields.tick({id: `${ID}regularised`, label: t("With a regularisation set of the same size"), value: wish.regularised, change: change("regularised"), help: t("It makes an epoch twice as long.")}),
                api.fields.number({id: `${ID}steps`, label: t("Steps per epoch you want"), min: 1, max: 1000, value: wish.steps, change: change("steps"), help: t("2 with a regularisation set, 1 without. 200 epochs are then 400 steps or 200.")}),
                el("div", {id: `${ID}answer`, class: "lora_studio_ds_part", "aria-live": "polite"})));
        fold.addEventListener("toggle", () => fold.open && compute());
        box.append(fold);
    }

    // Asked again only while it is looked at.
    const changed = (what) => { if (["set", "classes", "repeats"].includes(what) && byId("fold") && byId("fold").open) compute(); };

    api.batches = {build, changed};
    api.foot("batches", 51, () => ({changed}));
})();
