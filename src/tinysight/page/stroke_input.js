// Turns mouse, finger, pen and keyboard on the pad into strokes.

const KEY_STEP = 1 / 28; // of the pad's side, for each press of an arrow key; with Shift a quarter of it
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const inside = (value) => Math.min(1, Math.max(0, value));

// `onStroke.start(points)`, `onStroke.grow()` and `onStroke.end()` are called during a stroke; `points` grows in place.
export function listenForPointer(canvas, onStroke) {
  let pointer = null;
  let points = [];
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  const end = (event) => {
    if (event.pointerId !== pointer) return;
    pointer = null;
    onStroke.end();
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button !== 0) return; // a second finger draws nothing
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    points = [place(event)];
    onStroke.start(points);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    points.push(...(moves.length ? moves : [event]).map(place));
    onStroke.grow();
  });
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
}

// Moves a pen with the arrow keys; space puts it down and lifts it. `show(pen)` draws it, `speak(words)` announces it.
export class KeyboardPen {
  constructor(canvas, onStroke, show, speak) {
    Object.assign(this, { onStroke, show, speak, x: 0.5, y: 0.25, points: null, isShown: false });
    canvas.addEventListener("keydown", (event) => this.press(event));
    canvas.addEventListener("blur", () => this.leave());
    canvas.addEventListener("pointerdown", () => this.leave());
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " ") {
      event.preventDefault();
      if (!event.repeat) this.toggle();
    } else if (event.key in ARROWS) {
      event.preventDefault();
      this.move(ARROWS[event.key], event.shiftKey ? KEY_STEP / 4 : KEY_STEP);
    } else return;
    this.isShown = true;
    this.show(this);
  }

  toggle() {
    if (this.points) {
      this.lift();
      this.speak("pen up");
    } else {
      this.points = [[this.x, this.y]];
      this.onStroke.start(this.points);
      this.speak("pen down");
    }
  }

  move([dx, dy], step) {
    [this.x, this.y] = [inside(this.x + dx * step), inside(this.y + dy * step)];
    if (!this.points) return;
    this.points.push([this.x, this.y]);
    this.onStroke.grow();
  }

  // Ends a stroke under way; called before anything else changes the drawing.
  lift() {
    if (!this.points) return;
    this.points = null;
    this.onStroke.end();
    this.show(this);
  }

  leave() {
    this.lift();
    this.isShown = false;
    this.show(this);
  }
}
