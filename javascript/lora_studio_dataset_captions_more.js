// What is done to captions now and then: the trigger word, unwanted features, the regularisation set, and backups.
(() => {
    "use strict";
    const api = window.loraStudioDataset, captions = api && api.captions;
    if (!captions || captions.more) return;

    const ID = "lora_studio_ds_", TYPING = 350;
    const {state, el, t, data, number} = api;
    const byId = captions.byId;
    const mine = {timer: 0, asked: 0, ticks: new Map(), features: []};
    const percent = (share) => number(Math.round(100 * share));

    // ---- the trigger word

    const word = () => (byId("trigger_word") ? byId("trigger_word").value.trim() : "");

    async function features() {
        if (!captions.isOpen("trigger")) return;
        const turn = ++mine.asked, found = await api.attempt(() => api.post("dataset/trigger", {...api.scope(), trigger: word()}));
        if (!found || turn !== mine.asked) return;
        mine.features = found.features;
        byId("trigger_told").replaceChildren(...found.warnings.map((text) => el("p", {class: "lora_studio_ds_wrong"}, data(text))));
        const kinds = new Map();
        for (const one of found.features) kinds.set(one.kind, [...(kinds.get(one.kind) || []), one]);
        byId("trigger_features").replaceChildren(...[...kinds.values()].map((list) => el("fieldset", {class: "lora_studio_ds_features"}, el("legend", {}, data(list[0].label)), list.map(feature))));
        byId("trigger_features").dataset.asked = turn;
        if (!found.features.length) byId("trigger_features").replaceChildren(el("p", {class: "lora_studio_ds_help"}, found.images ? t("No tag that stands often enough looks like a feature.") : t("No pictures are shown.")));
        triggerable();
    }

    const ticked = (one) => (mine.ticks.has(one.tag) ? mine.ticks.get(one.tag) : one.chosen);

    function feature(one) {
        const box = el("input", {type: "checkbox", "data-tag": one.tag, on: {change: (event) => { mine.ticks.set(one.tag, event.target.checked); triggerable(); }}});
        box.checked = ticked(one);
        return el("label", {class: "lora_studio_ds_feature"}, box, el("span", {}, data(one.tag)), el("span", {class: "lora_studio_ds_number_of"}, data(`${number(one.count)} · ${percent(one.share)} %`)));
    }

    const out = () => mine.features.filter(ticked).map((one) => one.tag);

    function triggerable() {
        const n = out().length, go = byId("trigger_go");
        go.disabled = !word();
        go.textContent = data(n ? t("Put the trigger first, take {n} tags out", {n: number(n)}) : t("Put the trigger first"));
        byId("trigger_out").disabled = !word();
    }

    async function trigger(op) {
        const found = await captions.act(op);
        if (!found) return;
        api.say("good", `${found.what}\n${found.sentence}`, {label: t("Undo"), act: () => api.history.undo()});
        features();
    }

    function buildTrigger(box) {
        const field = api.fields.text({label: t("Trigger word"), id: `${ID}trigger_word`, value: api.trigger.read(), placeholder: "uiharu_kazari",
            help: t("Stands first in every caption and takes over what the tags below say. A word of your own that means nothing yet."),
            typed: () => { clearTimeout(mine.timer); api.trigger.write(word()); triggerable(); mine.timer = setTimeout(features, TYPING); }});
        box.append(field, el("div", {id: `${ID}trigger_told`, role: "status"}),
            el("p", {class: "lora_studio_ds_help"}, t("What is taken out is learnt with the trigger: tick what always belongs to the character, leave what should stay changeable. When in doubt, leave everything.")),
            el("div", {id: `${ID}trigger_features`}), captions.where(),
            el("p", {class: "lora_studio_ds_acts"}, api.fields.button({id: `${ID}trigger_go`, kind: "primary", label: t("Put the trigger first"), act: () => trigger({kind: "trigger", trigger: word(), remove: out()})}),
                api.fields.button({id: `${ID}trigger_out`, label: t("Take the trigger out"), act: () => trigger({kind: "untrigger", trigger: word()})})));
        triggerable();
        features();
    }

    function heardTrigger(what) {
        if (what === "set") mine.ticks.clear();
        if (["set", "trigger"].includes(what) && byId("trigger_word") !== document.activeElement) byId("trigger_word").value = api.trigger.read();
        if (["opened", "shown", "rows", "picked", "set", "trigger"].includes(what)) { clearTimeout(mine.timer); mine.timer = setTimeout(features, TYPING); }
    }

    // ---- unwanted features

    async function unwanted() {
        const box = byId("unwanted_found");
        const found = await api.post("dataset/unwanted", api.scope());
        const groups = new Map();
        for (const one of found.hints) groups.set(one.group, [...(groups.get(one.group) || []), one]);
        const line = (one) => el("p", {class: "lora_studio_ds_acts", "data-tag": one.tag}, el("strong", {}, data(one.tag)),
            api.fields.button({label: data(one.count === 1 ? t("1 picture") : t("{n} pictures", {n: number(one.count)})), kind: "link", help: t("Show them"), act: () => api.narrow({...api.NOWHERE, keys: one.keys})}),
            api.fields.button({label: t("Add the tag"), act: async () => { await captions.act({kind: "add", tags: [one.tag], place: "back"}, {keys: one.keys}); await unwanted(); }}));
        const nodes = [...groups.entries()].map(([group, list]) => el("div", {class: "lora_studio_ds_part"}, el("h4", {}, data(found.labels[group])), ...list.map(line)));
        if (!nodes.length) nodes.push(el("p", {class: "lora_studio_ds_help"}, t("Nothing found.")));
        if (found.tagged < found.images) nodes.push(el("p", {class: "lora_studio_ds_help"}, data(t("{n} of {images} pictures were never looked at by a tagger: run one for hints about censoring, writing, poses and hands.", {n: number(found.images - found.tagged), images: number(found.images)}))));
        box.replaceChildren(...nodes);
        box.dataset.done = "1";
    }

    function buildUnwanted(box) {
        box.append(el("p", {class: "lora_studio_ds_help"}, t("What a tag names is learnt by that tag and not by the trigger. So censoring, bars and signatures should be tagged, and hands, too: named, they get better.")),
            el("p", {}, api.fields.button({label: t("Look for missing tags"), id: `${ID}unwanted_go`, act: unwanted})), el("div", {id: `${ID}unwanted_found`, class: "lora_studio_ds_part"}));
    }

    // ---- the regularisation set

    async function audit() {
        const box = byId("audit_found"), reg = byId("audit_folder").value.trim();
        if (!reg) return;
        api.reg.write(reg);
        const found = await api.post("dataset/audit", {reg, trigger: api.trigger.read()});
        const sign = (good) => el("span", {class: good ? "lora_studio_ds_good" : "lora_studio_ds_bad", "aria-label": good ? t("good") : t("to be looked at")}, good ? "✓" : "!");
        const line = (good, text, more) => el("li", {}, sign(good), " ", data(text), more);
        const names = (list) => el("p", {class: "lora_studio_ds_help"}, data(list.join(", ")));
        const missing = el("p", {class: "lora_studio_ds_moves"}, found.missing.slice(0, 40).map(([tag, n]) => el("span", {class: "lora_studio_ds_moved"}, data(`${tag} ${number(n)}`))));
        box.replaceChildren(el("ul", {class: "lora_studio_ds_audit"},
            line(found.count === found.wanted, t("{n} pictures, the training set has {wanted}; as many is best", {n: number(found.count), wanted: number(found.wanted)})),
            line(!found.shared.length, found.shared.length ? t("{n} pictures are in both sets: take them out of the regularisation set", {n: number(found.shared.length)}) : t("no picture is in both sets"), found.shared.length > 0 && names(found.shared.map(([one]) => one))),
            line(!found.leaks.length, found.leaks.length ? t("the trigger word stands in {n} of its captions: remove it there", {n: number(found.leaks.length)}) : t("the trigger word stands in none of its captions"), found.leaks.length > 0 && names(found.leaks)),
            line(found.coverage === null || found.coverage >= 0.9, found.coverage === null ? t("there are no tags to compare") : t("it has {percent} % of the training set's tags; what it lacks absorbs the style", {percent: percent(found.coverage)}), found.missing.length > 0 && missing)),
        found.looked < found.pictures && el("p", {class: "lora_studio_ds_help"}, data(t("The pixels of {n} pictures are still being looked at: look again in a moment.", {n: number(found.pictures - found.looked)}))) || "");
        box.dataset.done = "1";
    }

    function buildAudit(box) {
        box.append(api.reg.field({id: `${ID}audit_folder`, help: t("Pictures in other styles with the same things on them: they push the style out of ordinary tags and into the trigger.")}),
            el("p", {}, api.fields.button({label: t("Compare the two sets"), id: `${ID}audit_go`, act: audit})), el("div", {id: `${ID}audit_found`}));
    }

    // ---- backups

    async function backups() {
        const box = byId("backups_found");
        if (!box || !captions.isOpen("backups")) return;
        const found = await api.get("dataset/backups").catch(() => null);
        if (!found) return;
        const date = (seconds) => new Date(seconds * 1000).toLocaleString();
        const restore = (one) => async () => {
            const done = await api.post("dataset/restore", {backup: one.backup});
            captions.took(done);
            if (done.saved) captions.did(t("Backup restored"));
            if (done.failed.length) api.say("error", done.failed.join("\n"));
            else api.say("good", done.saved ? t("The captions are as they were before that save. What stood there is a backup, too.") : t("The captions were like that already."));
            await api.changed("captions");
            await backups();
        };
        box.replaceChildren(...found.backups.slice(0, 30).map((one) => el("p", {class: "lora_studio_ds_acts", "data-backup": one.backup, title: one.files.join("\n")}, el("span", {}, data(`${date(one.created)} · ${one.count === 1 ? t("1 caption") : t("{n} captions", {n: number(one.count)})}`)),
            api.fields.button({label: t("Restore"), kind: "link", act: restore(one)}))));
        if (!found.backups.length) box.replaceChildren(el("p", {class: "lora_studio_ds_help"}, t("Every save keeps the captions as they were; here they come back.")));
        else box.append(el("p", {class: "lora_studio_ds_help"}, data(`${t("They lie in {folder}.", {folder: found.folder})} ${found.kept}`)));
    }

    captions.more = {features, backups};
    captions.part(20, "trigger", () => t("Trigger word and features"), buildTrigger, heardTrigger);
    captions.part(30, "unwanted", () => t("What should not be learnt"), buildUnwanted);
    captions.part(40, "audit", () => t("Regularisation set"), buildAudit);
    captions.part(50, "backups", () => t("Backups"), (box) => { box.append(el("div", {id: `${ID}backups_found`, class: "lora_studio_ds_lines"})); backups(); }, (what) => { if (["opened", "saved", "shown", "set"].includes(what)) backups(); });
})();
