// What the stand-alone page needs and a WebUI brings along: exchanging words, choosing language and theme, generating.
(() => {
    "use strict";
    if (!window.loraStudioAlone || window.loraStudioAlone.ready) return;
    window.loraStudioAlone.ready = true;
    document.documentElement.classList.add("lora_studio_alone");

    const ATTRIBUTES = ["placeholder", "title", "aria-label"];
    const words = () => window.localization || {};

    // ---- words: a text that equals a key, whole, is exchanged; as the WebUI does it

    function exchangeText(node) {
        const found = words()[node.nodeValue.trim()];
        if (found && node.nodeValue !== found) node.nodeValue = found;
    }

    function exchange(root) {
        if (root.nodeType === Node.TEXT_NODE) return exchangeText(root);
        if (root.nodeType !== Node.ELEMENT_NODE || root.closest("script, style, textarea")) return;
        const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
        while (walker.nextNode()) exchangeText(walker.currentNode);
        for (const name of ATTRIBUTES) {
            for (const node of [root, ...root.querySelectorAll(`[${name}]`)]) {
                const found = words()[(node.getAttribute(name) || "").trim()];
                if (found) node.setAttribute(name, found);
            }
        }
    }

    if (Object.keys(words()).length) {
        new MutationObserver((changes) => {
            for (const change of changes) {
                if (change.type === "characterData") exchangeText(change.target);
                else change.addedNodes.forEach(exchange);
            }
        }).observe(document.documentElement, {childList: true, subtree: true, characterData: true});
        if (document.body) exchange(document.body);
    }

    // ---- head: name, language, theme

    const byId = (id) => document.getElementById(id);
    const t = (text, values) => window.loraStudioView.t(text, values);

    function go(name, value) {
        const address = new URL(location.href);
        address.searchParams.set(name, value);
        location.href = address.href;
    }

    function head(mount) {
        const {el, language} = window.loraStudioView, dark = document.body.classList.contains("dark");
        const other = language() === "zh_CN" ? ["en", "English"] : ["zh_CN", "中文"];
        mount.replaceChildren(
            el("h1", {}, "LoRA Studio"),
            el("nav", {},
                el("button", {type: "button", class: "lora_studio_button", lang: other[0], on: {click: () => go("__lang", other[0])}}, other[1]),
                el("button", {type: "button", class: "lora_studio_button", on: {click: () => go("__theme", dark ? "light" : "dark")}}, dark ? t("Light") : t("Dark"))));
    }

    // ---- Generate

    const value = (name) => window.loraStudioFields.field(`lora_studio_generate_${name}`).value;

    function size() {
        const sides = value("size").split(/[,x×]/).map(Number);
        return sides.length === 1 ? [sides[0], sides[0]] : sides;
    }

    async function generate() {
        const box = byId("lora_studio_picture"), {el, notes, data} = window.loraStudioView;
        box.dataset.state = "busy";
        box.replaceChildren(el("p", {class: "lora_studio_message", role: "status"}, t("Painting …")));
        const request = {prompt: value("prompt"), negative: value("negative"), seed: Number(value("seed")), steps: Number(value("steps")), cfg: Number(value("cfg")), size: size()};
        try {
            const {picture, seconds} = await window.loraStudio.ask("generate", request);
            box.replaceChildren(el("figure", {}, el("img", {src: picture, alt: request.prompt, id: "lora_studio_painted"}),
                el("figcaption", {}, data(t("Seed {seed}, {seconds} s", {seed: request.seed, seconds})))));
            box.dataset.state = "done";
        } catch (error) {
            box.replaceChildren(notes("error", t("That did not work"), [error.message]));
            box.dataset.state = "failed";
        }
    }

    function tryIt(prompt) {
        const job = window.loraStudio.job();
        window.loraStudioFields.set("lora_studio_generate_prompt", prompt);
        if (job && job.data) window.loraStudioFields.set("lora_studio_generate_size", String(job.data.resolution));
        const tab = byId("lora_studio_tab_generate-button") || [...document.querySelectorAll("#lora_studio_tabs > .tab-nav > button")].pop();
        if (tab) tab.click();
    }

    function ready() {
        if (!window.loraStudioView || !window.loraStudio) return;
        const mount = byId("lora_studio_head"), button = byId("lora_studio_generate_go"), box = byId("lora_studio_picture");
        if (mount && !mount.dataset.ready) {
            mount.dataset.ready = "1";
            head(mount);
        }
        if (button && box && !button.dataset.ready) {
            button.dataset.ready = "1";
            button.addEventListener("click", generate);
            box.replaceChildren(window.loraStudioView.el("p", {class: "lora_studio_empty"}, t("The picture appears here.")));
            window.loraStudio.tryIt = tryIt;
        }
    }

    new MutationObserver(ready).observe(document.documentElement, {childList: true, subtree: true});
    ready();
})();
