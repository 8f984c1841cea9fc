// The step "Repeats" of the Dataset page: how often each class is seen, why, and what breaks when a number is changed by hand.
// What came out stands in api.state.repeats for the other steps: {repeats: {class: n}, counts, group_size, flip, feasible, holds, total}.
(() => {
    "use strict";
    const api = window.loraStudioDataset;
    if (!api || api.repeats) return;

    const ID = "lora_studio_ds_repeats_", KEPT = "repeats", FIXED = ["main", "face", "full"], WAIT = 150, TYPING = 350;
    const {state, el, t, data, number} = api;
    const byId = (id) => document.getElementById(ID + id);
    // `found`: counts of the sorted pictures. `own`, `mono`, `groups`: what the user wrote instead. `hand`: repeats written by hand.
    const mine = {root: "", found: null, own: {}, mono: null, groups: null, flip: true, hand: {}, answer: null, checked: null, asked: 0, timer: 0, trouble: ""};

    const NAMES = {main: () => t("main visuals"), face: () => t("face close-ups"), full: () => t("full body"), differential: () => t("differential images")};
    const named = (name) => (NAMES[name] ? NAMES[name]() : data(name));
    const part = (title, help, ...children) => el("section", {class: "lora_studio_ds_part"}, el("h4", {}, title), help && el("p", {class: "lora_studio_ds_help"}, help), ...children);

    // ---- what is asked

    const foundOf = (name) => (mine.found ? (name in mine.found ? mine.found[name] : mine.found.others[name]) || 0 : 0);
    const countOf = (name) => (name in mine.own ? mine.own[name] : foundOf(name));
    const classes = () => [...new Set([...FIXED, ...Object.keys(mine.found ? mine.found.others : {}), ...Object.keys(mine.own)])];
    const groups = () => (mine.groups === null ? (mine.found ? mine.found.groups : []) : mine.groups);
    const mono = () => (mine.mono === null ? (mine.found ? mine.found.mono : []) : mine.mono);

    function problem() {
        const others = classes().filter((name) => name !== "main" && name !== "face");
        const known = [...classes(), "differential"];
        return {main: countOf("main"), face: countOf("face"), others: Object.fromEntries(others.map((name) => [name, countOf(name)])), groups: groups(), flip: mine.flip, mono: mono().filter((name) => known.includes(name))};
    }

    // Repeats as they hold now: computed, or written by hand.
    function chosen() {
        const asked = problem(), counts = {main: asked.main, face: asked.face, ...asked.others, differential: asked.groups.length};
        const computed = (mine.answer && mine.answer.repeats) || {};
        return Object.fromEntries(Object.keys(counts).filter((name) => counts[name]).map((name) => [name, mine.hand[name] || computed[name] || 1]));
    }

    // Pictures by class as an epoch has them: groups are of one size.
    function weights() {
        const asked = problem(), size = (mine.answer && mine.answer.group_size) || Math.max(0, ...asked.groups);
        return {main: asked.main, face: asked.face, ...asked.others, differential: asked.groups.length * size};
    }

    const changedByHand = () => Object.keys(mine.hand).length > 0;

    // ---- the server

    function remember() {
        const {own, mono, groups, flip, hand} = mine;
        api.keep(KEPT, {root: state.root, own, mono, groups, flip, hand});
    }

    function recall() {
        const held = api.kept(KEPT) || {}, same = held.root === state.root;
        Object.assign(mine, {root: state.root, found: null, answer: null, checked: null, own: {}, mono: null, groups: null, hand: {}, ...(same ? held : {}), flip: held.flip !== false});
    }

    // Counts anew, then repeats: after another folder, another class, another group. Many changes in a row are one.
    function recount() {
        clearTimeout(mine.timer);
        mine.timer = setTimeout(async () => {
            const asked = ++mine.asked;
            if (mine.root !== state.root) recall();
            try {
                const found = await api.get("dataset/counts");
                if (asked !== mine.asked) return undefined;
                mine.found = found;
            } catch (error) {
                return asked === mine.asked ? failed(error) : undefined;
            }
            return compute();
        }, WAIT);
    }

    async function compute() {
        const asked = ++mine.asked;
        remember();
        try {
            const answer = await api.post("dataset/repeats", problem());
            if (asked !== mine.asked) return;
            mine.answer = answer;
            mine.checked = null;
            const size = answer.group_size || 0, repeats = chosen();
            // A number of repeats by hand is checked; so is everything at 1 where nothing holds, to say what breaks.
            if ((changedByHand() || !answer.feasible) && Object.keys(repeats).length) {
                const checked = await api.post("dataset/repeats/check", {...problem(), repeats, group_size: size});
                if (asked !== mine.asked) return;
                mine.checked = checked;
            }
            mine.trouble = "";
        } catch (error) {
            if (asked !== mine.asked) return;
            return failed(error);
        }
        publish();
        draw();
        return undefined;
    }

    function failed(error) {
        mine.trouble = error.message;
        mine.answer = mine.checked = null;
        publish();
        draw();
    }

    function publish() {
        const asked = problem(), answer = mine.answer;
        state.repeats = answer && {
            repeats: chosen(), counts: weights(),
            group_size: answer.group_size, trimmed: answer.trimmed, flip: asked.flip, feasible: answer.feasible, by_hand: changedByHand(),
            holds: mine.checked ? mine.checked.holds : answer.feasible, total: mine.checked ? mine.checked.total : answer.total,
        };
        api.tell("repeats");
    }

    // ---- what is written by hand

    function counted(name, value) {
        if (value === null || value === foundOf(name)) delete mine.own[name];
        else mine.own[name] = value;
        compute();
    }

    function ticked(name, is) {
        mine.mono = is ? [...new Set([...mono(), name])] : mono().filter((one) => one !== name);
        compute();
    }

    function grouped(text) {
        const sizes = text.split(/[^0-9]+/).filter(Boolean).map(Number);
        mine.groups = text.trim() === "" && !(mine.found && mine.found.groups.length) ? null : sizes;
        compute();
    }

    function overridden(name, value) {
        const computed = mine.answer && mine.answer.repeats && mine.answer.repeats[name];
        if (value === null || value === computed) delete mine.hand[name];
        else mine.hand[name] = value;
        compute();
    }

    function asSorted() {
        Object.assign(mine, {own: {}, mono: null, groups: null});
        recount();
    }

    function take(repeats) {
        mine.hand = Object.fromEntries(Object.entries(repeats).filter(([name, value]) => value && value !== mine.answer.repeats[name]));
        compute();
    }

    function added(text) {
        const name = text.trim();
        if (!name || classes().includes(name) || name === "differential") return;
        mine.own[name] = 0;
        compute();
    }

    // ---- drawing: a table is built anew only when its classes change, so that whoever types into it is not disturbed

    const cell = (name, ...children) => el(name, {}, ...children);
    const tables = {};

    function table(id, key, heads, rows) {
        if (tables[id] && tables[id].key === key && byId(id)) return tables[id].rows;
        byId(`${id}_box`).replaceChildren(el("table", {class: "lora_studio_table lora_studio_ds_repeats", id: ID + id},
            cell("thead", cell("tr", heads.map((text) => cell("th", text)))), cell("tbody", Object.values(rows).flatMap((row) => row.nodes))));
        tables[id] = {key, rows};
        return rows;
    }

    // A number field in a table: tells what is typed after a moment, not only when it is left.
    function typed(id, name, options, act) {
        const field = api.fields.number({id, ...options, change: (value) => { clearTimeout(field.timer); act(value); }});
        field.field.setAttribute("aria-label", name);
        field.field.addEventListener("input", () => {
            clearTimeout(field.timer);
            if (field.field.value.trim() && field.field.checkValidity()) field.timer = setTimeout(() => act(field.read()), TYPING);
        });
        return field;
    }

    const show = (field, value) => { if (document.activeElement !== field.field) field.write(value); };
    const mark = (node, is) => { if (is) node.dataset.own = "1"; else delete node.dataset.own; };
    const write = (node, text) => { if (node.textContent !== text) node.textContent = text; };

    function drawCounts() {
        const names = classes(), heads = [t("Class"), t("Pictures"), t("Black and white")];
        const rows = table("counts", names.join("/"), heads, Object.fromEntries(names.map((name) => {
            const field = typed(`${ID}count_${name}`, t("Pictures"), {min: 0, max: 1000000}, (value) => counted(name, value));
            const tick = el("input", {type: "checkbox", id: `${ID}mono_${name}`, "aria-label": t("Black and white")});
            tick.addEventListener("change", () => ticked(name, tick.checked));
            return [name, {field, tick, nodes: [el("tr", {}, cell("th", named(name)), cell("td", field), cell("td", tick))]}];
        })));
        for (const name of names) {
            show(rows[name].field, countOf(name));
            rows[name].tick.checked = mono().includes(name);
            mark(rows[name].nodes[0], name in mine.own && mine.own[name] !== foundOf(name));
        }
    }

    function drawRepeats() {
        const {answer} = mine, repeats = chosen(), counts = weights(), other = alternative(), names = Object.keys(repeats);
        const heads = [t("Class"), t("Repeats"), t("Per epoch"), ...(other ? [t("Others at 1")] : [])];
        const rows = table("table", `${names.join("/")} ${Boolean(other)}`, heads, Object.fromEntries(names.map((name) => {
            const field = typed(`${ID}of_${name}`, t("Repeats"), {min: 1, max: 1000}, (value) => overridden(name, value));
            const seen = cell("td"), beside = cell("td"), why = el("td", {colspan: heads.length});
            return [name, {field, seen, beside, why, nodes: [el("tr", {"data-class": name}, cell("th", named(name)), cell("td", field), seen, other && beside), el("tr", {class: "lora_studio_ds_why"}, why)]}];
        })));
        const lines = Object.fromEntries(answer.lines.map((line) => [line.name, line]));
        for (const name of names) {
            const row = rows[name];
            show(row.field, repeats[name]);
            mark(row.nodes[0], mine.hand[name]);
            write(row.seen, data(number(counts[name] * repeats[name])));
            if (other) write(row.beside, data(`×${other.repeats[name]}`));
            const why = mine.hand[name] ? t("By hand.") : lines[name] && !changedByHand() ? lines[name].why : "";
            write(row.why, why ? data(why) : "");
            row.why.parentNode.hidden = !why;
        }
    }

    function alternative() {
        const answer = mine.answer, other = answer.alternative;
        // Beside numbers that were written by hand it would read like an answer to those.
        return other && !changedByHand() && Object.entries(other.repeats).some(([name, value]) => value !== answer.repeats[name]) ? other : null;
    }

    const SIGNS = {good: "✓", amber: "!", red: "✗"};

    function rules() {
        return el("ul", {class: "lora_studio_ds_rules", id: `${ID}rules`, "data-holds": String(mine.checked.holds)}, mine.checked.rules.map((rule) =>
            el("li", {"data-level": rule.level, "data-rule": rule.name}, el("span", {class: "lora_studio_ds_sign", "aria-hidden": "true"}, SIGNS[rule.level]), data(rule.text))));
    }

    function notes() {
        const {answer} = mine, view = window.loraStudioView;
        // Numbers by hand are judged by the rules above, which tell of large repeats and few pictures, too.
        const of = (level) => (mine.checked ? [] : answer.warnings.filter((text, place) => answer.levels[place] === level));
        return [
            !answer.feasible && view.notes("error", t("No repeats hold the rules"), answer.advice),
            view.notes("error", t("Think again"), of("red")), view.notes("warning", t("Good to know"), of("amber")),
            answer.feasible && view.notes("warning", t("To do"), answer.advice),
        ];
    }

    function range() {
        const [low, high] = mine.answer.range;
        return el("p", {class: "lora_studio_ds_help", id: `${ID}range`}, data(t("Wanted: {low} to {high} pictures per epoch before flipped copies, about 4 main visuals for a face close-up, and as few repeats as possible.", {low: number(low), high: number(high)})));
    }

    function acts() {
        const other = alternative();
        return el("p", {class: "lora_studio_ds_acts"},
            changedByHand() && api.fields.button({id: `${ID}back`, label: t("Back to the computed repeats"), kind: "link", act: () => { mine.hand = {}; return compute(); }}),
            other && api.fields.button({id: `${ID}other`, label: t("Take “others at 1”"), kind: "link", help: t("Keeps every class but main visuals and face close-ups at 1 and repeats those more."), act: () => take(other.repeats)}));
    }

    function beside() {
        const other = alternative();
        if (!other || mine.checked) return null;
        const values = {total: number(other.total), ratio: other.ratio === null ? "" : other.ratio.toFixed(2)};
        return el("p", {class: "lora_studio_ds_help"}, data(other.ratio === null ? t("With the others at 1: {total} per epoch.", values) : t("With the others at 1: {total} per epoch, {ratio} main visuals for a face close-up.", values)));
    }

    function told() {
        return [
            beside(),
            mine.checked ? rules() : el("ul", {class: "lora_studio_list lora_studio_sentences"}, mine.answer.sentences.map((text) => el("li", {}, data(text)))),
            ...notes(),
        ];
    }

    function drawAnswer() {
        const {answer} = mine, wait = mine.trouble ? window.loraStudioView.notes("error", t("That did not work"), [mine.trouble]) : el("p", {class: "lora_studio_ds_help"}, t("Counting …"));
        byId("answer").dataset.feasible = answer ? String(answer.feasible) : "";
        byId("answer").dataset.holds = state.repeats ? String(state.repeats.holds) : "";
        byId("table_box").hidden = !answer;
        put("wait", answer ? range() : wait);
        put("acts", answer ? acts() : []);
        put("told", answer ? told() : []);
        if (answer) drawRepeats();
    }

    function guides() {
        const {answer} = mine;
        if (!answer) return [];
        const list = (texts) => el("ul", {class: "lora_studio_list"}, texts.map((text) => el("li", {}, data(text))));
        return [el("summary", {}, t("What the guides say")), list(answer.hints), el("h4", {}, t("Where they differ or err")), list(answer.conflicts)];
    }

    // Replaces what differs, so that open folds and what is selected stay.
    function put(id, children) {
        const box = byId(id), list = [children].flat(Infinity).filter(Boolean), html = list.map((node) => node.outerHTML).join("");
        if (box.dataset.drawn === html) return;
        box.replaceChildren(...list);
        box.dataset.drawn = html;
    }

    function draw() {
        drawFoot();
        if (!byId("answer")) return;
        drawCounts();
        put("notes", mine.found && mine.found.notes.length ? el("ul", {class: "lora_studio_list lora_studio_ds_help"}, mine.found.notes.map((text) => el("li", {}, data(text)))) : []);
        byId("sorted").hidden = !(Object.keys(mine.own).length || mine.mono !== null || mine.groups !== null);
        show(mine.groupField, groups().join(", "));
        mine.flipField.write(mine.flip);
        drawAnswer();
        put("guides", guides());
        // Which question the page shows the answer to.
        byId("answer").dataset.asked = String(mine.asked);
    }

    function build(box) {
        mine.groupField = api.fields.text({id: `${ID}groups`, label: t("Differential groups"), placeholder: "2, 4", change: grouped, help: t("How many pictures each group has. A group counts as one main visual, and groups are brought to the size of the largest.")});
        mine.flipField = api.fields.tick({id: `${ID}flip`, label: t("With flipped copies"), value: mine.flip, change: (value) => { mine.flip = value; compute(); }, help: t("Prepare makes them. Without them a picture counts 4 instead of 2.")});
        const name = api.fields.text({id: `${ID}name`, name: t("Another class"), placeholder: t("Another class")});
        box.append(
            part(t("Pictures of each class"), t("Originals, as they are sorted now. Numbers can be changed to try something."), el("div", {id: `${ID}counts_box`}), el("div", {id: `${ID}notes`}),
                el("p", {class: "lora_studio_ds_acts"}, api.fields.button({id: `${ID}sorted`, label: t("Back to the sorted pictures"), kind: "link", act: asSorted})),
                el("div", {class: "lora_studio_ds_acts"}, name, api.fields.button({id: `${ID}add`, label: t("Add"), act: () => { added(name.read()); name.write(""); }})),
                mine.groupField, mine.flipField),
            part(t("Repeats"), "", el("div", {id: `${ID}answer`, class: "lora_studio_ds_part"}, el("div", {id: `${ID}wait`}), el("div", {id: `${ID}table_box`}), el("div", {id: `${ID}acts`}), el("div", {id: `${ID}told`, class: "lora_studio_ds_part", "aria-live": "polite"}))),
            el("div", {id: `${ID}batches`}),
            el("details", {id: `${ID}guides`, class: "lora_studio_files"}));
        if (api.batches) api.batches.build(byId("batches"));
        draw();
        if (!mine.found || mine.root !== state.root) recount();
    }

    // ---- the foot: one sentence, whether the step was ever opened or not

    function sentence() {
        if (!mine.answer) return mine.trouble || "";
        const repeats = chosen(), told = Object.entries(repeats).map(([name, value]) => `${named(name).replace("\u200b", "")} ×${value}`).join(", ");
        if (!mine.answer.feasible && !changedByHand()) return t("Repeats: the classes do not fit together yet.");
        return t("Repeats: {told}; {total} per epoch.", {told, total: number(state.repeats.total)});
    }

    function drawFoot() {
        const node = byId("foot");
        if (!node) return;
        const text = data(sentence()), good = Boolean(state.repeats && state.repeats.holds);
        if (node.textContent !== text) node.textContent = text;
        node.dataset.holds = String(good);
    }

    // What repeats follow from; pages of rows alone change nothing.
    const moment = () => JSON.stringify([state.root, state.kinds, (state.flags || {}).group, (state.flags || {}).flip, (state.flags || {}).grey, (state.flags || {}).tinted, state.images]);

    function changed(what) {
        if (what !== "set" && (what !== "rows" || mine.moment === moment())) return;
        mine.moment = moment();
        recount();
    }

    api.repeats = {recount, problem, chosen, foundOf};
    api.panel({name: "repeats", order: 40, title: () => t("Repeats"), build});
    api.foot("repeats", 50, (box) => {
        box.append(el("button", {type: "button", id: `${ID}foot`, class: "lora_studio_link lora_studio_ds_repeated", title: t("How often each class is seen, and why"), on: {click: () => api.show("repeats")}}));
        recount();
        return {changed};
    });
})();
