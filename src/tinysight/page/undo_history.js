// Keeps what was drawn, chosen and cleared, so that it can be undone.
//
// A stroke is a list of [x, y] points, 0…1 of the pad's side. A picture is {file, image}; the image is null if the
// browser cannot decode the file.

export class UndoHistory {
  constructor() {
    this.steps = [];
  }

  // A stroke over a picture begins a new drawing.
  addStroke(points) {
    this.steps.push({ points, isFresh: this.picture() !== null });
  }

  addPicture(picture) {
    this.steps.push({ picture, isFresh: true });
  }

  clear() {
    if (!this.isEmpty()) this.steps.push({ isFresh: true });
  }

  undo() {
    this.steps.pop();
  }

  canUndo() {
    return this.steps.length > 0;
  }

  // Returns what is on the pad now: all steps since the last fresh start.
  visible() {
    const start = this.steps.findLastIndex((step) => step.isFresh);
    return this.steps.slice(Math.max(start, 0));
  }

  strokes() {
    return this.visible().flatMap((step) => (step.points ? [step.points] : []));
  }

  picture() {
    return this.visible().at(-1)?.picture ?? null;
  }

  isEmpty() {
    return this.strokes().length === 0 && this.picture() === null;
  }
}
