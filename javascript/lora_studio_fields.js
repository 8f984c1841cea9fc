// gradio's fields as the script meets them, and what this browser remembers of them.
(() => {
    "use strict";
    if (window.loraStudioFields) return;

    const EXAMPLE = "lora_studio_example", PREFIX = "lora_studio_train_";
    const NAME = `${PREFIX}save_name`, TRIGGER = `${PREFIX}caption_trigger`;
    const typed = new Map();
    let recording = true, setting = false;

    const keep = (key, value) => { try { localStorage.setItem(key, value); } catch (error) { /* private window: nothing is kept */ } };
    const kept = (key) => { try { return localStorage.getItem(key); } catch (error) { return null; } };

    function field(id) {
        return document.querySelector(`#${id} textarea, #${id} input`);
    }

    function set(id, value) {
        const node = field(id);
        if (!node || node.value === value) return;
        node.value = value;
        setting = true;
        node.dispatchEvent(new Event("input", {bubbles: true}));
        setting = false;
    }

    // ---- what is typed while Python fills the whole form is put back over what Python answers

    function watch(form, touched) {
        form.addEventListener("input", (event) => {
            const block = event.target.closest(`[id^="${PREFIX}"]`);
            if (recording && !setting && block && event.target.matches("textarea, input[type=text], input[type=number]")) typed.set(block.id, event.target.value);
            touched();
        });
    }

    function record() {
        recording = true;
        typed.clear();
    }

    function retype() {
        recording = false;
        typed.forEach((value, id) => set(id, value));
        typed.clear();
    }

    // ---- the example set: its name and trigger are its own, and leave with its folder

    const example = (text) => keep(EXAMPLE, text);

    function left(id, value, own) {
        if (!value || value !== own || (field(id) && field(id).value !== own)) return value;
        set(id, "");
        return "";
    }

    function noExample(config) {
        const own = JSON.parse(kept(EXAMPLE) || "null");
        if (!own || !config.data.folder || config.data.folder === own.folder) return;
        config.save.name = left(NAME, config.save.name, own.name);
        config.caption.trigger = left(TRIGGER, config.caption.trigger, own.trigger);
        keep(EXAMPLE, "null");
    }

    // ---- another page fills in what it knows; fields that it does not name stay as they are

    function send(form, config, fill) {
        form.waiting = form.bound && !form.filling ? null : config;
        if (form.waiting) return;
        const folder = config.data.folder, other = !form.config || form.config.data.folder !== folder;
        Object.assign(form, {guessed: folder, next: true});
        // Name and trigger of another folder's LoRA are not this one's.
        form.sent = JSON.stringify({config: other ? {...config, save: {name: ""}, caption: {trigger: "", ...config.caption}} : config});
        record();
        fill("restore");
    }

    window.loraStudioFields = {keep, kept, field, set, watch, record, retype, send, example, noExample, trigger: (value) => set(TRIGGER, value)};
})();
