// The step "Pictures" of the Dataset page.
(() => {
    "use strict";
    const api = window.loraStudioDataset;
    if (!api) return;

    const {el, t} = api;

    api.panel({
        name: "pictures", order: 10, title: () => t("Pictures"),
        build(box) {
            box.append(el("p", {}, t("Pictures")));
        },
    });
})();
