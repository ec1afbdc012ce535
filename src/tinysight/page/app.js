// Puts the page together: drawing, pictures, camera, predictions, undo and keys.

import { Camera } from "./camera.js";
import { drawingAsPng, paintPad } from "./canvas.js";
import { imageOf, listenForPictures, smallerFile } from "./picture_input.js";
import { PredictionView } from "./prediction_view.js";
import { LatestOnlyQueue } from "./request_queue.js";
import { KeyboardPen, listenForPointer } from "./stroke_input.js";
import { UndoHistory } from "./undo_history.js";
import { wordsFor } from "./words.js";

const IDS =
  "pad canvas video pen invitation undo clear choose camera file keys best confidence note input why legend bars " +
  "spoken error key name";

// `classifier` has describe() → {class_names, framing, takes_photographs, has_attribution, name}, and
// predict(file, top, signal) → prediction.
export async function startApp(classifier) {
  const page = Object.fromEntries(IDS.split(" ").map((id) => [id, document.getElementById(id)]));
  page.main = document.getElementById("page");
  page.penTip = document.getElementById("pen-tip");
  page.keyForm = document.getElementById("key-form");
  const described = await describe(page, classifier);
  const words = wordsFor(described);
  showWords(page, described, words);
  new Pad(page, classifier, new PredictionView(page, described, words), described.takes_photographs);
  page.name.textContent = described.name ?? "";
}

// Makes headings and hints fit the classifier.
function showWords(page, described, words) {
  document.getElementById("pad-title").textContent = words.section;
  document.getElementById("why-box").hidden = !described.has_attribution;
  page.invitation.textContent = words.invitation;
  page.keys.textContent = words.keys;
  page.canvas.setAttribute("aria-label", words.pad);
  page.main.classList.toggle("photographs", described.takes_photographs);
  page.camera.hidden = !described.takes_photographs;
}

const RETRY = 2000; // milliseconds until a service that did not answer is tried again

// Tries until the classifier is described; asks the user for a key if one is needed.
async function describe(page, classifier) {
  for (;;) {
    try {
      const described = await classifier.describe();
      page.error.textContent = "";
      return described;
    } catch (error) {
      explain(page, error);
      if (error.needsKey) await enteredKey(page, classifier);
      else await new Promise((resume) => setTimeout(resume, RETRY));
    }
  }
}

function explain(page, error) {
  page.error.textContent = error.message;
  page.main.dataset.state = "error";
}

// Shows the form for the key, and waits until it is filled in.
function enteredKey(page, classifier) {
  page.keyForm.hidden = false;
  page.key.focus();
  return new Promise((resolve) => {
    page.keyForm.onsubmit = (event) => {
      event.preventDefault();
      classifier.key = page.key.value.trim();
      page.key.value = "";
      page.keyForm.hidden = true;
      resolve();
    };
  });
}

class Pad {
  constructor(page, classifier, view, takesPhotographs) {
    Object.assign(this, { page, classifier, view, history: new UndoHistory(), isDown: false, version: 0 });
    this.queue = new LatestOnlyQueue(
      async ({ strokes, picture }, signal) => {
        const file = picture?.file ?? (await drawingAsPng(strokes));
        return classifier.predict(file, view.top, signal, page.why.checked);
      },
      (prediction, request) => this.show(prediction, request),
      (error) => this.fail(error),
    );
    if (takesPhotographs) this.takePhotographs();
    else this.takeStrokes();
    listenForPictures(page, (file) => this.take(file));
    page.undo.addEventListener("click", () => this.undo());
    page.clear.addEventListener("click", () => this.clear());
    page.why.addEventListener("change", () => this.change());
    document.addEventListener("keydown", (event) => this.press(event));
    new ResizeObserver(() => this.paint()).observe(page.canvas);
    this.change();
  }

  takeStrokes() {
    const { page, view } = this;
    const onStroke = {
      start: (points) => this.startStroke(points),
      grow: () => this.change(),
      end: () => this.endStroke(),
    };
    listenForPointer(page.canvas, onStroke);
    this.pen = new KeyboardPen(page.canvas, onStroke, (pen) => this.showPen(pen), (words) => view.speak(words));
  }

  takePhotographs() {
    const { page } = this;
    page.canvas.removeAttribute("tabindex"); // the buttons below do all that it does
    page.canvas.setAttribute("role", "img");
    page.canvas.addEventListener("click", () => page.file.click());
    this.camera = new Camera(page.video, () => this.showTools());
    page.camera.addEventListener("click", () => this.useCamera());
  }

  // Switches the camera on, or takes the picture if it is on.
  async useCamera() {
    this.page.error.textContent = "";
    try {
      if (this.camera.isOn) this.take(await this.camera.take());
      else await this.camera.start();
    } catch (error) {
      this.page.error.textContent = error.message;
    }
  }

  startStroke(points) {
    this.isDown = true;
    this.history.addStroke(points);
    this.change();
  }

  endStroke() {
    this.isDown = false;
    this.change();
  }

  async take(file) {
    this.pen?.lift();
    this.camera?.stop();
    const image = await imageOf(file);
    this.history.addPicture({ file: this.camera ? await smallerFile(file, image) : file, image });
    this.change();
  }

  undo() {
    this.pen?.lift();
    this.history.undo();
    this.change();
  }

  clear() {
    if (this.camera?.isOn) return this.camera.stop();
    this.pen?.lift();
    this.history.clear();
    this.change();
  }

  press(event) {
    if (event.target.matches("input[type=password]")) return;
    const isUndo = (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z";
    const isClear = event.key === "Delete" || event.key === "Escape";
    if (isUndo) this.undo();
    if (isClear) this.clear();
    if (isUndo || isClear) event.preventDefault();
  }

  // Paints and requests a prediction after anything has changed.
  change() {
    this.version += 1;
    this.page.main.dataset.version = this.version;
    this.paint();
    this.showTools();
    if (this.history.isEmpty()) {
      this.queue.cancel();
      this.view.showNothing();
      this.settle(this.version);
      return;
    }
    const strokes = this.history.strokes().map((points) => [...points]);
    this.queue.push({ strokes, picture: this.history.picture(), isDown: this.isDown, version: this.version });
  }

  // Shows what the buttons do now.
  showTools() {
    const { page, history } = this;
    const isFilming = this.camera?.isOn ?? false;
    page.undo.disabled = !history.canUndo() || isFilming;
    page.clear.disabled = history.isEmpty() && !isFilming;
    page.clear.textContent = isFilming ? "Stop" : "Clear";
    page.camera.textContent = isFilming ? "Take the picture" : "Use the camera";
    page.invitation.hidden = !history.isEmpty() || isFilming;
    page.video.hidden = !isFilming;
  }

  paint() {
    const picture = this.history.picture();
    const isUndecoded = picture !== null && picture.image === null;
    this.page.pad.classList.toggle("shows-picture", picture !== null);
    paintPad(this.page.canvas, this.history.strokes(), picture);
    this.page.pad.dataset.undecoded = isUndecoded ? picture.file.name || "picture" : "";
  }

  show(prediction, request) {
    this.view.show(prediction, request.picture !== null, request.isDown);
    this.settle(request.version);
  }

  // Notes which version of the drawing the shown prediction is about.
  settle(version) {
    this.page.error.textContent = "";
    this.page.main.dataset.answered = version;
  }

  async fail(error) {
    this.view.showNothing();
    explain(this.page, error);
    this.page.main.dataset.answered = this.version;
    if (!error.needsKey) return;
    await enteredKey(this.page, this.classifier);
    this.change();
  }

  showPen(pen) {
    this.page.pen.setAttribute("visibility", pen.isShown ? "visible" : "hidden");
    this.page.penTip.setAttribute("cx", 100 * pen.x);
    this.page.penTip.setAttribute("cy", 100 * pen.y);
    this.page.pen.classList.toggle("down", pen.points !== null);
  }
}
