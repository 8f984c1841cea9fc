// Presses of the hidden buttons by which the page asks Python. gradio 3.41 drops a press while the answer to the one before is
// under way, gradio 4 lets answers overtake each other, and both lose a press until they have bound their handlers. So of each
// button one press is under way at a time; what was asked meanwhile is asked once more after it, and a press that gradio never
// took is made again.
(() => {
    "use strict";
    if (window.loraStudioCalls) return;

    const UNTAKEN = 1500, UNANSWERED = 60000;
    const calls = {};
    const call = (name) => calls[name] || (calls[name] = {pressed: false, again: false, timer: 0});

    function press(name) {
        const one = call(name);
        one.again = one.pressed;
        if (one.pressed) return;
        one.pressed = true;
        wait(name, UNTAKEN);
        const button = document.getElementById(`lora_studio_${name}`);
        if (button) button.click();
    }

    function wait(name, time) {
        const one = call(name);
        clearTimeout(one.timer);
        one.timer = setTimeout(() => {
            one.pressed = false;
            press(name);
        }, time);
    }

    // gradio begins with it: what the fields hold at this moment is what will be answered.
    function taken(name) {
        if (call(name).pressed) wait(name, UNANSWERED);
    }

    // Whether the answer is the latest that was asked for; if not, that one is on its way.
    function answered(name) {
        const one = call(name);
        clearTimeout(one.timer);
        one.pressed = false;
        if (!one.again) return true;
        press(name);
        return false;
    }

    const busy = (name) => (name ? call(name).pressed : Object.values(calls).some((one) => one.pressed));

    window.loraStudioCalls = {press, taken, answered, busy};
})();
