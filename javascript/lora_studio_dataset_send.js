// "Send to Train": the training form gets the folder, its repeats, trigger word and resolution, and says what it was given.
(() => {
    "use strict";
    const api = window.loraStudioDataset;
    if (!api || api.send) return;

    const NOTE = "lora_studio_filled";
    const {state, el, t} = api;

    // The project that was prepared of the folder that is open, if there is one; it holds for no other folder.
    let prepared = {root: "", folder: "", trigger: ""};
    const project = () => (prepared.root === state.root ? prepared : {folder: "", trigger: ""});
    const trigger = () => api.trigger.read() || project().trigger || "";

    function changed(what) {
        if (what === "project") prepared = {root: state.root, folder: (state.project && state.project.folder) || "", trigger: state.trigger || ""};
    }

    async function send() {
        const repeats = state.repeats ? {repeats: state.repeats.repeats, counts: state.repeats.counts} : {};
        const found = await api.post("dataset/send", {folder: project().folder, trigger: trigger(), resolution: state.shownFor || state.resolution || state.native || 0, ...repeats});
        window.loraStudio.fill(found.config);
        window.loraStudio.reveal();
        told(found);
    }

    function told(found) {
        const panel = document.getElementById("lora_studio_panel"), view = window.loraStudioView;
        const old = document.getElementById(NOTE);
        if (old) old.remove();
        const close = el("button", {type: "button", class: "lora_studio_link", on: {click: () => note.remove()}}, t("Close"));
        const note = el("div", {id: NOTE, class: "lora_studio_filled", role: "status"}, view.notes("good", t("Filled in from the Dataset page"), found.told), view.notes("warning", t("Look at this first"), found.warnings), close);
        if (panel) panel.prepend(note);
        over(note);
    }

    // It is true until somebody changes the form or starts.
    function over(note) {
        const form = document.getElementById("lora_studio_form"), panel = document.getElementById("lora_studio_panel"), stop = new AbortController();
        const end = () => { note.remove(); stop.abort(); watch.disconnect(); };
        const watch = new MutationObserver(() => { if (["preparing", "caching", "training"].includes(panel.dataset.phase) || !note.isConnected) end(); });
        watch.observe(panel, {attributes: true, attributeFilter: ["data-phase"], childList: true});
        // What is filled in by the page itself is no change of somebody's.
        for (const kind of ["input", "change"]) form.addEventListener(kind, (event) => { if (event.isTrusted) end(); }, {signal: stop.signal});
        document.getElementById("lora_studio_start").addEventListener("click", end, {signal: stop.signal});
    }

    api.send = send;
    api.foot("send", 90, (box) => {
        box.append(api.fields.button({id: "lora_studio_ds_send", label: t("Send to Train"), kind: "primary", act: send, help: t("Fills the training form with this folder, its repeats and its trigger word.")}));
        return {changed};
    });
})();
