// Controls for the steps of the Dataset page: a label, one sentence of help, a field in the host's look. Each function takes
// {label, help, value, change(value), id, …} and returns a node with read() and write(value); writing does not call `change`.
(() => {
    "use strict";
    const api = window.loraStudioDataset;
    if (!api || api.fields.text) return;

    const {el} = api;
    let count = 0;

    function framed(options, field, read, write, more) {
        const help = options.help && el("span", {class: "lora_studio_ds_help", id: `${field.id}_help`}, options.help);
        if (help) field.setAttribute("aria-describedby", help.id);
        const node = el("label", {class: `lora_studio_ds_field ${(more && more.class) || ""}`, for: field.id},
            options.label && el("span", {class: "lora_studio_ds_label"}, options.label), help, (more && more.body) || field);
        return bound(node, options, field, read, write);
    }

    function bound(node, options, field, read, write) {
        node.field = field;
        node.read = read;
        node.write = write;
        node.disable = (is) => { for (const one of [field, ...node.querySelectorAll("input, select, button")]) one.disabled = is; node.classList.toggle("lora_studio_ds_off", Boolean(is)); };
        if (options.value !== undefined && options.value !== null) write(options.value);
        return node;
    }

    const id = (options) => options.id || `lora_studio_ds_field_${++count}`;
    const told = (options, read) => () => { if (options.change) options.change(read()); };

    // `lines` > 1 makes a larger box; `change` is called when the field is left or Enter is pressed, `typed` at every key.
    function text(options) {
        const many = (options.lines || 1) > 1;
        const field = el(many ? "textarea" : "input", {
            id: id(options), class: "lora_studio_ds_input", spellcheck: "false", autocomplete: "off", placeholder: options.placeholder, list: options.list,
            "aria-label": options.label ? undefined : options.name, ...(many ? {rows: options.lines} : {type: "text"}),
        });
        const read = () => field.value;
        field.addEventListener("change", told(options, read));
        if (options.typed) field.addEventListener("input", () => options.typed(field.value));
        return framed(options, field, read, (value) => { if (field.value !== value) field.value = value; });
    }

    // An empty field reads as null where `optional`, else as the last good number.
    function number(options) {
        const field = el("input", {id: id(options), class: "lora_studio_ds_input lora_studio_ds_number", type: "number", min: options.min, max: options.max, step: options.step || 1, placeholder: options.placeholder});
        let good = options.value;
        const read = () => {
            if (field.value.trim() === "" && options.optional) return null;
            const found = Number(field.value);
            if (field.value.trim() !== "" && Number.isFinite(found)) good = Math.min(options.max ?? Infinity, Math.max(options.min ?? -Infinity, found));
            return good;
        };
        field.addEventListener("change", () => { const found = read(); field.value = found ?? ""; if (options.change) options.change(found); });
        return framed(options, field, read, (value) => { good = value; field.value = value ?? ""; });
    }

    // Can be dragged, typed, and put back by a double click; `typed` is called while it moves.
    function slider(options) {
        const limits = {min: options.min ?? 0, max: options.max ?? 1, step: options.step ?? 0.01};
        const field = el("input", {id: id(options), type: "range", class: "lora_studio_ds_range", ...limits});
        const box = el("input", {type: "number", class: "lora_studio_ds_input lora_studio_ds_number", "aria-label": options.label, ...limits});
        const first = options.value, read = () => Number(field.value);
        const write = (value) => { field.value = value; box.value = field.value; };
        const moved = () => { box.value = field.value; if (options.typed) options.typed(read()); };
        field.addEventListener("input", moved);
        field.addEventListener("change", told(options, read));
        field.addEventListener("dblclick", () => { write(first); moved(); told(options, read)(); });
        box.addEventListener("change", () => { write(box.value === "" ? first : box.value); moved(); told(options, read)(); });
        return framed(options, field, read, write, {body: el("span", {class: "lora_studio_ds_sliding"}, field, box)});
    }

    // `options`: [[value, words, sentence?]…]; all of them are seen.
    function choice(options) {
        const name = id(options), buttons = options.options.map(([value, words, sentence], place) => {
            const field = el("input", {type: "radio", name, value, id: `${name}_${place}`});
            field.addEventListener("change", () => options.change && options.change(value));
            return {value, field, node: el("label", {class: "lora_studio_ds_option", for: field.id, title: sentence}, field, el("span", {}, words))};
        });
        const node = el("fieldset", {class: "lora_studio_ds_field", id: name}, options.label && el("legend", {class: "lora_studio_ds_label"}, options.label),
            options.help && el("span", {class: "lora_studio_ds_help"}, options.help), el("span", {class: "lora_studio_ds_options"}, buttons.map((one) => one.node)));
        const read = () => (buttons.find((one) => one.field.checked) || {value: null}).value;
        return bound(node, options, node, read, (value) => { for (const one of buttons) one.field.checked = one.value === value; });
    }

    // `options`: [[value, words]…]; node.fill(options) exchanges them and keeps what is chosen where it is still there.
    function select(options) {
        const field = el("select", {id: id(options), class: "lora_studio_ds_input", "aria-label": options.label ? undefined : options.name});
        const fill = (all) => {
            const before = field.value;
            field.replaceChildren(...all.map(([value, words]) => el("option", {value}, words)));
            if (all.some(([value]) => String(value) === before)) field.value = before;
        };
        fill(options.options || []);
        const read = () => field.value;
        field.addEventListener("change", told(options, read));
        const node = framed(options, field, read, (value) => { field.value = value; });
        node.fill = fill;
        return node;
    }

    function tick(options) {
        const field = el("input", {id: id(options), type: "checkbox"}), read = () => field.checked;
        field.addEventListener("change", told(options, read));
        const help = options.help && el("span", {class: "lora_studio_ds_help"}, options.help);
        const node = el("label", {class: "lora_studio_ds_field lora_studio_ds_ticked", for: field.id}, field, el("span", {}, el("span", {class: "lora_studio_ds_label"}, options.label), help));
        return bound(node, options, field, read, (value) => { field.checked = Boolean(value); });
    }

    // `act` may be async: the button rests until it has ended, and what it throws is said in the page. `kind`: "primary", "link" or none.
    function button(options) {
        const kinds = {primary: "lora_studio_button lora_studio_primary", link: "lora_studio_link"};
        const node = el("button", {type: "button", id: options.id, class: kinds[options.kind] || "lora_studio_button", title: options.help}, options.label);
        node.addEventListener("click", () => api.attempt(async () => options.act(node), node));
        return node;
    }

    Object.assign(api.fields, {text, number, slider, choice, select, tick, button});
})();
