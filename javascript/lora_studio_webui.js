// What the WebUI's own page has to do with a training: its prompt, its cards, its options. Without a WebUI all of it is empty.
(() => {
    "use strict";
    if (window.loraStudioWebui) return;

    const byId = (id) => document.getElementById(id);

    // The WebUI's own page for pictures, with the LoRA added to what stands in its prompt.
    function tryIt(prompt) {
        const {field, set} = window.loraStudioFields, before = field("txt2img_prompt") ? field("txt2img_prompt").value.trim() : "";
        if (!before.includes(prompt)) set("txt2img_prompt", before ? `${before}, ${prompt}` : prompt);
        window.switch_to_txt2img();
    }

    // The WebUI lists its cards when it is told to: what was just saved should be there without a search for that button.
    function freshCards() {
        for (const tab of ["txt2img", "img2img"]) {
            const refresh = byId(`${tab}_lora_extra_refresh_internal`);
            if (refresh) refresh.dispatchEvent(new Event("click"));
        }
    }

    // `changed` after the WebUI's options have changed (another checkpoint is one), `looked` after another tab was chosen.
    function hear(changed, looked) {
        if (typeof window.onOptionsChanged === "function") window.onOptionsChanged(changed);
        if (typeof window.onUiTabChange === "function") window.onUiTabChange(looked);
    }

    window.loraStudioWebui = {tryIt: () => (window.switch_to_txt2img ? tryIt : null), freshCards, hear};
})();
