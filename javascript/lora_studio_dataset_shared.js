// What all steps of the Dataset page share: the trigger word and the regularisation set of a folder, and what narrows a step.
//
//   trigger.read(), trigger.write(word)     the trigger word of the folder that is open; "trigger" is told to all steps
//   reg.read(), reg.write(path)             where its regularisation set lies, "" without one; "reg" is told to all steps
//   reg.field({id, help})                   a field for that folder, the same one in every step
//   reg.inside(path)                        the part of a path below the open folder, "" where it lies elsewhere
//   reg.of()                                the folder whose regularisation set is open now, "" where none is
//   reg.open(step)                          opens it and shows that step
(() => {
    "use strict";
    const api = window.loraStudioDataset;
    if (!api || api.trigger) return;

    const ID = "lora_studio_ds_", TRIGGERS = "trigger_of", SETS = "reg_of", MOST = 200;
    const {state, el, t, data, number} = api;
    const byId = (id) => document.getElementById(ID + id);

    // ---- what is remembered of each folder

    const of = (name) => (api.kept(name) || {})[state.root] || "";

    function remember(name, root, value) {
        const all = {...(api.kept(name) || {})};
        delete all[root];
        api.keep(name, Object.fromEntries([...Object.entries(all), [root, value]].filter(([, one]) => one).slice(-MOST)));
    }

    function write(name, value, what) {
        if (!state.root || of(name) === value) return;
        remember(name, state.root, value);
        api.tell(what);
    }

    const trigger = {read: () => of(TRIGGERS), write: (word) => write(TRIGGERS, word.trim(), "trigger")};

    // ---- the regularisation set

    const bare = (path) => path.trim().replace(/^["'“”]+|["'“”]+$/g, "").trim().replace(/(?<=.)[\\/]+$/, "");
    const plain = (path) => bare(path).replaceAll("\\", "/");

    function inside(path) {
        const root = `${plain(state.root)}/`, one = plain(path);
        return one.startsWith(root) ? one.slice(root.length) : "";
    }

    function training() {
        const found = Object.entries(api.kept(SETS) || {}).find(([root, path]) => root !== state.root && plain(path) === plain(state.root));
        return found ? found[0] : "";
    }

    async function open(step) {
        const path = of(SETS), root = state.root;
        if (!path) return;
        await api.open(path);
        // As the server calls it, so that it is known again.
        remember(SETS, root, state.root);
        api.tell("reg");
        if (step) api.show(step);
    }

    const fields = new Set();

    function field(options) {
        const node = api.fields.text({label: t("Folder of the regularisation set"), ...options, value: of(SETS), change: (value) => reg.write(value)});
        fields.add(node);
        return node;
    }

    function refill() {
        for (const node of fields) if (node.field !== document.activeElement) node.write(of(SETS));
    }

    const reg = {read: () => of(SETS), write: (path) => write(SETS, bare(path), "reg"), field, inside, of: training, open};

    // ---- a step that works on what is shown says what hides the rest

    function narrowed() {
        const box = byId("narrowed"), panel = api.parts.panels.find((one) => byId(`step_${one.name}`) && byId(`step_${one.name}`).getAttribute("aria-selected") === "true");
        if (!box) return;
        const filters = api.gallery.filters(), picked = state.picked.size;
        box.hidden = !(state.set && panel && panel.narrowed && (picked || filters.length));
        if (box.hidden) return box.replaceChildren();
        const words = picked ? (picked === 1 ? t("Only the picture you picked.") : t("Only the {n} pictures you picked.", {n: number(picked)}))
            : state.total === 1 ? t("Only 1 of {all} pictures:", {all: number(state.images)}) : t("Only {n} of {all} pictures:", {n: number(state.total), all: number(state.images)});
        const all = el("button", {type: "button", class: "lora_studio_link", id: `${ID}shownall`, on: {click: () => (picked ? api.pick([]) : api.narrow({...api.NOWHERE}))}}, picked ? t("Pick none") : t("Show all"));
        box.replaceChildren(el("span", {}, data(words)), ...(picked ? [] : filters), all);
        return undefined;
    }

    function changed(what) {
        if (["where", "picked", "rows", "shown", "set"].includes(what)) narrowed();
        if (["reg", "set"].includes(what)) refill();
    }

    Object.assign(api, {trigger, reg, shared: {changed}});
})();
