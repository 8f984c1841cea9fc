// The loss curve: raw faint, smoothed bold, drawn as inline SVG so that it follows the theme by itself.
(() => {
    "use strict";
    if (window.loraStudioChart) return;

    const NS = "http://www.w3.org/2000/svg";
    const EDGE = {left: 46, right: 12, top: 22, bottom: 24};

    function shape(name, attributes, text) {
        const node = document.createElementNS(NS, name);
        for (const key in attributes) node.setAttribute(key, attributes[key]);
        if (text !== undefined) node.textContent = text;
        return node;
    }

    // Mean of the past with the weight of the start taken out, over about a twentieth of the run.
    function smoothed(points) {
        const keep = 1 - 1 / Math.max(6, Math.min(100, points.length / 20));
        let sum = 0, weight = 0;
        return points.map(([step, loss]) => {
            sum = keep * sum + (1 - keep) * loss;
            weight = keep * weight + (1 - keep);
            return [step, sum / weight];
        });
    }

    // At most two points per pixel, lowest and highest, so that spikes stay visible in long runs.
    function thinned(points, width) {
        if (points.length <= 2 * width) return points;
        const kept = [], size = points.length / width;
        for (let pixel = 0; pixel < width; pixel++) {
            const part = points.slice(Math.floor(pixel * size), Math.floor((pixel + 1) * size));
            let low = part[0], high = part[0];
            for (const point of part) {
                if (point[1] < low[1]) low = point;
                if (point[1] > high[1]) high = point;
            }
            kept.push(...(low[0] <= high[0] ? [low, high] : [high, low]));
        }
        return kept;
    }

    // The run's real range, without the rare spikes that would press everything else flat.
    function range(points) {
        const losses = points.map((point) => point[1]).sort((a, b) => a - b);
        const at = (share) => losses[Math.min(losses.length - 1, Math.floor(share * losses.length))];
        const low = at(0.005), high = at(0.995);
        const room = (high - low || Math.abs(high) || 1) * 0.08;
        return [Math.max(0, low - room), high + room];
    }

    function ticks(low, high, wanted) {
        const rough = (high - low) / wanted || 1;
        const power = 10 ** Math.floor(Math.log10(rough));
        const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
        const found = [];
        for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) found.push(value);
        const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
        return {values: found, digits: step / power === 2.5 ? digits + 1 : digits};
    }

    // points: [[step, loss], …]; steps, epochs: of the whole run. Draws into `box`, which keeps its size.
    function draw(box, points, steps, epochs, label) {
        const width = Math.max(240, box.clientWidth), height = Math.max(140, box.clientHeight);
        const svg = shape("svg", {viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label});
        box.replaceChildren(svg);
        svg.append(shape("text", {class: "lora_studio_tick", x: EDGE.left, y: 12}, `${label}\u200b`));
        if (points.length < 2) return;
        const last = Math.max(steps, points[points.length - 1][0]), [low, high] = range(points);
        const x = (step) => EDGE.left + (step / last) * (width - EDGE.left - EDGE.right);
        const y = (loss) => EDGE.top + (1 - (Math.min(high, Math.max(low, loss)) - low) / (high - low)) * (height - EDGE.top - EDGE.bottom);
        const path = (list) => "M" + list.map(([step, loss]) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`).join("L");

        const grid = ticks(low, high, Math.floor(height / 50));
        for (const value of grid.values) {
            svg.append(shape("line", {class: "lora_studio_grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value)}));
            svg.append(shape("text", {class: "lora_studio_tick", x: EDGE.left - 6, y: y(value) + 4, "text-anchor": "end"}, value.toFixed(grid.digits)));
        }
        for (let epoch = 1; epoch < epochs && epochs <= 60; epoch++) {
            const at = x(epoch * last / epochs);
            svg.append(shape("line", {class: "lora_studio_epoch", x1: at, x2: at, y1: EDGE.top, y2: height - EDGE.bottom}));
        }
        for (const value of ticks(0, last, Math.floor(width / 110)).values.filter((step) => step > 0)) {
            svg.append(shape("text", {class: "lora_studio_tick", x: Math.min(x(value), width - 16), y: height - 7, "text-anchor": "middle"}, Math.round(value)));
        }
        svg.append(shape("path", {class: "lora_studio_raw", d: path(thinned(points, width))}));
        svg.append(shape("path", {class: "lora_studio_smooth", d: path(thinned(smoothed(points), width))}));
        const now = smoothed(points)[points.length - 1];
        svg.append(shape("circle", {class: "lora_studio_now", cx: x(now[0]), cy: y(now[1]), r: 3.5}));
    }

    // The mean of each epoch: what the curve shows, for those who read rather than look.
    function byEpoch(points, steps, epochs) {
        const each = steps / epochs, sums = new Map();
        for (const [step, loss] of points) {
            const epoch = Math.min(epochs, Math.ceil(step / each));
            const [sum, n] = sums.get(epoch) || [0, 0];
            sums.set(epoch, [sum + loss, n + 1]);
        }
        return [...sums].map(([epoch, [sum, n]]) => [epoch, sum / n]);
    }

    window.loraStudioChart = {draw, byEpoch, smoothed, thinned, ticks, range};
})();
