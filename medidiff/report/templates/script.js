'use strict';
// The slice viewers: a wipe between two pictures, windows, zoom, and the values under a crosshair. Without this
// script, or in a browser without DecompressionStream, the page shows the same slices side by side.

const decode = async ({ rows, columns, data }) => {
  // Base64 of zlib of zigzag differences from the left neighbour; all low bytes, then all high bytes.
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = rows * columns;
  const stored = new Int16Array(count);
  for (let k = 0; k < count; k++) {
    const zigzag = planes[k] | (planes[k + count] << 8);
    const before = k % columns ? stored[k - 1] : k ? stored[k - columns] : 0;
    stored[k] = before + ((zigzag >>> 1) ^ -(zigzag & 1));
  }
  return stored;
};

const COLOURS = (() => {
  const stops = '000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9b06 f7d13d fcffa4'.split(' ')
    .map((text) => [0, 2, 4].map((k) => parseInt(text.slice(k, k + 2), 16)));
  return Array.from({ length: 256 }, (_, k) => {
    const place = (k / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(place), stops.length - 2);
    return stops[low].map((v, c) => Math.round(v + (place - low) * (stops[low + 1][c] - v)));
  });
})();

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const minus = (text) => String(text).replace('-', '\u2212');

class Viewer {
  constructor(root) {
    this.root = root;
    this.box = root.querySelector('.viewer');
    const data = JSON.parse(root.querySelector('script.pixels').textContent);
    Object.assign(this, data); // unit, rows, columns, aspect, windows, layers, slices
    this.decoded = new Map();
    this.drawn = new Map();
    this.at = { zoom: 1, x: this.columns / 2, y: this.rows / 2, wipe: 0.5, window: { ...this.windows[0] }, cursor: null };
    this.find();
    this.listen();
    this.box.hidden = false;
    root.classList.add('script');
    const chosen = root.querySelector('input[data-slice]:checked');
    this.show(Number(chosen.dataset.slice));
  }

  find() {
    const one = (selector) => this.box.querySelector(selector);
    this.stage = one('.stage');
    this.canvas = one('.stage canvas');
    this.divider = one('.divider');
    this.wipe = one('input[type=range]');
    this.readout = one('.readout');
    this.first = one('select[name=first]');
    this.second = one('select[name=second]');
    this.tags = [one('.tag.first'), one('.tag.second')];
    this.centre = one('input[name=centre]');
    this.width = one('input[name=width]');
    this.stage.style.aspectRatio = this.aspect;
    this.stage.style.maxWidth = `calc(80vh * ${this.aspect})`;
  }

  listen() {
    for (const input of this.box.querySelectorAll('input[data-slice]'))
      input.addEventListener('change', () => this.show(Number(input.dataset.slice)));
    for (const input of this.box.querySelectorAll('input[data-window]'))
      input.addEventListener('change', () => this.setWindow({ ...this.windows[Number(input.dataset.window)] }));
    for (const input of [this.centre, this.width])
      input.addEventListener('change', () => {
        const window = { centre: Number(this.centre.value), width: Number(this.width.value) };
        if (Number.isFinite(window.centre) && window.width > 0) this.setWindow(window);
      });
    for (const select of [this.first, this.second]) select.addEventListener('change', () => this.draw());
    this.wipe.addEventListener('input', () => { this.at.wipe = this.wipe.value / 100; this.draw(); });
    for (const button of this.box.querySelectorAll('button[data-zoom]'))
      button.addEventListener('click', () => this.zoom(Number(button.dataset.zoom)));
    this.stage.addEventListener('keydown', (event) => this.key(event));
    this.stage.addEventListener('wheel', (event) => {
      if (!event.ctrlKey && this.at.zoom === 1 && event.deltaY > 0) return;
      if (!event.ctrlKey && document.activeElement !== this.stage) return; // the page scrolls on
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1.25 : 0.8, this.under(event));
    }, { passive: false });
    this.drag();
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  drag() {
    let moving = null;
    this.stage.addEventListener('pointerdown', (event) => {
      if (event.button) return;
      const pan = this.at.zoom > 1 && !event.target.closest('.grip');
      moving = { pan, x: event.clientX, y: event.clientY };
      this.stage.setPointerCapture(event.pointerId);
      if (!pan) this.moveWipe(event);
    });
    this.stage.addEventListener('pointermove', (event) => {
      if (moving?.pan) {
        const wide = this.stage.clientWidth / this.columns * this.at.zoom;
        const high = this.stage.clientHeight / this.rows * this.at.zoom;
        this.centreOn(this.at.x - (event.clientX - moving.x) / wide, this.at.y - (event.clientY - moving.y) / high);
        Object.assign(moving, { x: event.clientX, y: event.clientY });
      } else if (moving) this.moveWipe(event);
      this.at.cursor = this.under(event);
      if (this.at.byKey) { this.at.byKey = false; this.draw(); }
      this.read();
    });
    for (const end of ['pointerup', 'pointercancel']) this.stage.addEventListener(end, () => { moving = null; });
  }

  under(event) {
    const box = this.stage.getBoundingClientRect();
    const part = 1 / this.at.zoom;
    return {
      x: this.at.x + ((event.clientX - box.left) / box.width - 0.5) * this.columns * part,
      y: this.at.y + ((event.clientY - box.top) / box.height - 0.5) * this.rows * part,
    };
  }

  moveWipe(event) {
    const box = this.stage.getBoundingClientRect();
    this.at.wipe = clamp((event.clientX - box.left) / box.width, 0, 1);
    this.wipe.value = Math.round(this.at.wipe * 100);
    this.draw();
  }

  key(event) {
    const step = event.shiftKey ? 10 : 1;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (moves[event.key]) {
      const from = this.at.cursor ?? { x: Math.floor(this.columns / 2) + 0.5, y: Math.floor(this.rows / 2) + 0.5 };
      const x = clamp(from.x + moves[event.key][0], 0.5, this.columns - 0.5);
      const y = clamp(from.y + moves[event.key][1], 0.5, this.rows - 0.5);
      this.at.cursor = { x, y };
      this.at.byKey = true;
      if (this.at.zoom > 1) this.centreOn(x, y); else this.draw();
    } else if (event.key === '+' || event.key === '=') this.zoom(1.5);
    else if (event.key === '-') this.zoom(1 / 1.5);
    else if (event.key === '0') this.zoom(0);
    else return;
    event.preventDefault();
    this.read();
  }

  zoom(factor, place) {
    const zoom = factor ? clamp(this.at.zoom * factor, 1, 12) : 1;
    const part = this.at.zoom / zoom;
    if (place) { this.at.x = place.x + (this.at.x - place.x) * part; this.at.y = place.y + (this.at.y - place.y) * part; }
    this.at.zoom = zoom;
    this.stage.classList.toggle('zoomed', zoom > 1);
    this.root.classList.toggle('zoomed', zoom > 1); // the marks on the panels do not move along
    this.centreOn(this.at.x, this.at.y);
  }

  centreOn(x, y) {
    const half = 0.5 / this.at.zoom;
    this.at.x = clamp(x, half * this.columns, (1 - half) * this.columns);
    this.at.y = clamp(y, half * this.rows, (1 - half) * this.rows);
    this.draw();
  }

  setWindow(window) {
    this.at.window = window;
    this.drawn.clear();
    for (const input of this.box.querySelectorAll('input[data-window]')) {
      const preset = this.windows[Number(input.dataset.window)];
      input.checked = preset.centre === window.centre && preset.width === window.width;
    }
    this.draw();
  }

  async show(slice) {
    this.slice = slice;
    for (const article of this.root.querySelectorAll('.slice'))
      article.classList.toggle('current', Number(article.dataset.slice) === slice);
    if (!this.decoded.has(slice)) {
      const found = this.slices.find((one) => one.number === slice);
      const layers = {};
      for (const [name, data] of Object.entries(found.layers))
        layers[name] = await decode({ rows: this.rows, columns: this.columns, data });
      this.decoded.set(slice, layers);
    }
    if (this.slice !== slice) return; // another one was asked for meanwhile
    this.drawn.clear();
    this.draw();
    this.read();
    this.root.dataset.shown = slice;
  }

  layer(name) { return this.layers.find((one) => one.name === name); }

  /** The value of a layer at a stored pixel. */
  value(name, k) {
    const layer = this.layer(name);
    if (layer.of) return this.value(layer.of[0], k) - this.value(layer.of[1], k);
    return this.decoded.get(this.slice)[name][k] * layer.step + layer.offset;
  }

  /** A layer in its window, pixel for pixel. */
  picture(name) {
    if (this.drawn.has(name)) return this.drawn.get(name);
    const layer = this.layer(name);
    const { centre, width } = layer.window ?? this.at.window;
    const canvas = new OffscreenCanvas(this.columns, this.rows);
    const context = canvas.getContext('2d');
    const image = context.createImageData(this.columns, this.rows);
    const pixels = new Uint32Array(image.data.buffer);
    const low = centre - width / 2;
    const table = Array.from({ length: 256 }, (_, k) => {
      const [r, g, b] = layer.kind === 'uncertainty' ? COLOURS[k] : [k, k, k];
      return (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
    });
    for (let k = 0; k < pixels.length; k++)
      pixels[k] = table[Math.round(clamp((this.value(name, k) - low) / width, 0, 1) * 255)];
    context.putImageData(image, 0, 0);
    this.drawn.set(name, canvas);
    return canvas;
  }

  paint(canvas, draw) {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    const context = canvas.getContext('2d');
    context.imageSmoothingEnabled = (width / this.columns) * this.at.zoom < 3;
    context.imageSmoothingQuality = 'high';
    draw(context, width, height);
  }

  place(context, name, width, height) {
    const columns = this.columns / this.at.zoom;
    const rows = this.rows / this.at.zoom;
    context.drawImage(this.picture(name), this.at.x - columns / 2, this.at.y - rows / 2, columns, rows, 0, 0, width, height);
  }

  draw() {
    if (!this.decoded.has(this.slice)) return;
    const [first, second] = [this.first.value, this.second.value];
    this.paint(this.canvas, (context, width, height) => {
      const split = Math.round(width * this.at.wipe);
      this.place(context, second, width, height);
      context.save();
      context.beginPath();
      context.rect(0, 0, split, height);
      context.clip();
      this.place(context, first, width, height);
      context.restore();
      if (this.at.byKey && this.at.cursor) this.cross(context, width, height);
    });
    const article = this.root.querySelector('.slice.current');
    for (const panel of article.querySelectorAll('.panel')) {
      const frame = panel.querySelector('.frame');
      const canvas = frame.querySelector('canvas') ?? frame.appendChild(document.createElement('canvas'));
      canvas.setAttribute('aria-hidden', 'true'); // the picture below it has the description
      this.paint(canvas, (context, width, height) => this.place(context, panel.dataset.layer, width, height));
      this.ends(panel);
    }
    article.classList.add('drawn');
    this.tell();
  }

  cross(context, width, height) {
    const x = ((this.at.cursor.x - this.at.x) / this.columns * this.at.zoom + 0.5) * width;
    const y = ((this.at.cursor.y - this.at.y) / this.rows * this.at.zoom + 0.5) * height;
    for (const [style, thick] of [['#000', 3], ['#ffd166', 1]]) {
      context.strokeStyle = style;
      context.lineWidth = thick;
      context.beginPath();
      context.moveTo(x - 12, y); context.lineTo(x - 3, y); context.moveTo(x + 3, y); context.lineTo(x + 12, y);
      context.moveTo(x, y - 12); context.lineTo(x, y - 3); context.moveTo(x, y + 3); context.lineTo(x, y + 12);
      context.stroke();
    }
  }

  ends(panel) {
    const { centre, width } = this.layer(panel.dataset.layer).window ?? this.at.window;
    const [low, high] = panel.querySelectorAll('.ends span');
    low.textContent = minus(Number((centre - width / 2).toPrecision(4)));
    high.textContent = `${minus(Number((centre + width / 2).toPrecision(4)))} ${this.unit}`;
  }

  /** Puts the state into words for the eye and for screen readers. */
  tell() {
    const titles = [this.first, this.second].map((select) => select.selectedOptions[0].textContent);
    this.tags.forEach((tag, k) => { tag.textContent = titles[k]; });
    this.tags[0].hidden = this.at.wipe < 0.02;
    this.tags[1].hidden = this.at.wipe > 0.98;
    this.divider.style.left = `${this.at.wipe * 100}%`;
    this.wipe.setAttribute('aria-valuetext', `${Math.round(this.at.wipe * 100)} % ${titles[0]}, the rest ${titles[1]}`);
    if (document.activeElement !== this.centre) this.centre.value = this.at.window.centre;
    if (document.activeElement !== this.width) this.width.value = this.at.window.width;
    this.box.querySelector('.zoom').textContent = `${Math.round(this.at.zoom * 100)} %`;
  }

  read() {
    const place = this.at.cursor;
    if (!place || !this.decoded.has(this.slice)) return;
    const x = Math.floor(place.x);
    const y = Math.floor(place.y);
    if (x < 0 || y < 0 || x >= this.columns || y >= this.rows) return;
    const parts = this.layers.map((layer) => {
      const value = this.value(layer.name, y * this.columns + x);
      return `${layer.title} ${minus(Number(value.toPrecision(4)))} ${this.unit}`;
    });
    this.readout.textContent = `Column ${x + 1}, row ${y + 1}: ${parts.join(', ')}.`;
  }
}

if ('DecompressionStream' in window && 'OffscreenCanvas' in window)
  for (const root of document.querySelectorAll('.slices')) new Viewer(root);

addEventListener('beforeprint', () => {
  for (const details of document.querySelectorAll('details:not([open])')) { details.open = true; details.dataset.closed = ''; }
});
addEventListener('afterprint', () => {
  for (const details of document.querySelectorAll('details[data-closed]')) { details.open = false; delete details.dataset.closed; }
});
