// What starts and ends a training besides the form: the buttons' own words, and the banner on every other tab.
(() => {
    "use strict";
    if (window.loraStudioControls) return;

    const byId = (id) => document.getElementById(id);
    const t = (text, values) => window.loraStudioView.t(text, values);

    // A scan of many pictures takes its time: the button answers at once.
    function starting(button) {
        if (button.dataset.starting) return;
        button.dataset.starting = "1";
        button.textContent = t("Starting …");
        setTimeout(() => started(button), 60000);
    }

    function started(button) {
        if (!button || !button.dataset.starting) return;
        delete button.dataset.starting;
        button.textContent = t("Start training");
    }

    // What cannot be undone asks once more, in place.
    function cancel(button, end) {
        if (button.dataset.sure) {
            delete button.dataset.sure;
            button.textContent = t("Cancel");
            return end();
        }
        button.dataset.sure = "1";
        button.textContent = t("Save nothing? Click again");
        setTimeout(() => { if (button.dataset.sure) { delete button.dataset.sure; button.textContent = t("Cancel"); } }, 4000);
    }

    // What holds the device, and how to end it. Without a status the banner goes.
    function banner(status, show, stop) {
        let bar = byId("lora_studio_banner");
        if (!status) return bar && bar.remove();
        const {el, data, share, duration} = window.loraStudioView;
        if (!bar) {
            bar = el("div", {id: "lora_studio_banner", class: "lora_studio", role: "status"}, el("span", {}),
                el("button", {type: "button", class: "lora_studio_button", on: {click: show}}, t("Show")),
                el("button", {type: "button", class: "lora_studio_button", on: {click: stop}}, t("Stop and save")));
            document.body.prepend(bar);
        }
        const values = {name: status.name, percent: Math.floor(share(status) * 100), left: duration(status.eta_s)};
        const text = data(status.eta_s === null ? t("LoRA Studio trains {name}: {percent} %. Generating waits until it ends.", values)
            : t("LoRA Studio trains {name}: {percent} %, {left} left. Generating waits until it ends.", values));
        if (bar.firstChild.textContent !== text) bar.firstChild.textContent = text;
    }

    // Choose the tabs in which the panel lies.
    function reveal() {
        for (let node = byId("lora_studio_panel"); node; node = node.parentElement) {
            if (!node.classList.contains("tabitem")) continue;
            const tabs = [...node.parentElement.children].filter((child) => child.classList.contains("tabitem"));
            const button = node.parentElement.querySelector(".tab-nav").querySelectorAll("button")[tabs.indexOf(node)];
            if (button) button.click();
        }
    }

    // Ctrl+Enter starts. An input method that is composing keeps its keys.
    function keys(event) {
        if (event.isComposing || event.keyCode === 229) return;
        const submits = event.key === "Enter" && (event.ctrlKey || event.metaKey || event.altKey);
        if (submits) byId("lora_studio_start").click();
        // The WebUI's own shortcuts look for a Generate button, which this tab has not.
        if (submits || event.key === "Escape") event.stopPropagation();
    }

    // gradio's groups of choices have a title beside them, but no name: a screen reader would read out the choices alone. And
    // gradio 4 gives each choice a name of its own, so that no arrow key leads from one to the next.
    function groups() {
        for (const group of document.querySelectorAll("fieldset#lora_studio_goal, fieldset.lora_studio_choice")) {
            const title = group.querySelector("[data-testid=block-info]");
            if (!title) continue;
            title.id = `${group.id}_title`;
            group.setAttribute("role", "radiogroup");
            group.setAttribute("aria-labelledby", title.id);
            for (const choice of group.querySelectorAll("input[type=radio]")) choice.name = group.id;
        }
    }

    window.loraStudioControls = {groups, keys, starting, started, cancel, banner, reveal};
})();
