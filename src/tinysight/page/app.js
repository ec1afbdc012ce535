// Puts the page together: drawing, pictures, answers, undo and keys; does not know who answers.

import { Answers } from "./prediction_view.js";
import { Asking } from "./request_queue.js";
import { decode, followPictures } from "./picture_input.js";
import { History } from "./undo_history.js";
import { drawingAsFile, paintPad } from "./canvas.js";
import { followPointer, KeyboardPen } from "./stroke_input.js";

const IDS = "pad canvas pen invitation undo clear choose file best sure note seen bars spoken trouble key name";

// `classifier` answers: describe() → {class_names, framing, name}, and predict(file, top, signal) → prediction.
export async function openPage(classifier) {
  const page = Object.fromEntries(IDS.split(" ").map((id) => [id, document.getElementById(id)]));
  page.main = document.getElementById("page");
  page.penTip = document.getElementById("pen-tip");
  page.keyForm = document.getElementById("key-form");
  const described = await describe(page, classifier);
  new Drawing(page, classifier, new Answers(page, described));
  page.name.textContent = described.name ?? "";
}

const RETRY = 2000; // milliseconds until a service that did not answer is asked again

// Asks until it is told what is served; for a key where one is needed.
async function describe(page, classifier) {
  for (;;) {
    try {
      const described = await classifier.describe();
      page.trouble.textContent = "";
      return described;
    } catch (error) {
      explain(page, error);
      if (error.needsKey) await enteredKey(page, classifier);
      else await new Promise((resume) => setTimeout(resume, RETRY));
    }
  }
}

function explain(page, error) {
  page.trouble.textContent = error.message;
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

class Drawing {
  constructor(page, classifier, answers) {
    Object.assign(this, { page, classifier, answers, history: new History(), isDown: false, version: 0 });
    page.invitation.textContent = answers.invitation;
    this.asking = new Asking(
      async ({ strokes, picture }, signal) =>
        classifier.predict(picture?.file ?? (await drawingAsFile(strokes)), answers.top, signal),
      (answer, request) => this.answer(answer, request),
      (error) => this.fail(error),
    );
    const onStroke = {
      start: (points) => this.startStroke(points),
      grow: () => this.change(),
      end: () => this.endStroke(),
    };
    followPointer(page.canvas, onStroke);
    this.pen = new KeyboardPen(page.canvas, onStroke, (pen) => this.showPen(pen), (words) => answers.speak(words));
    followPictures(page, (file) => this.take(file));
    page.undo.addEventListener("click", () => this.undo());
    page.clear.addEventListener("click", () => this.clear());
    document.addEventListener("keydown", (event) => this.press(event));
    new ResizeObserver(() => this.paint()).observe(page.canvas);
    this.change();
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
    this.pen.lift();
    this.history.addPicture({ file, image: await decode(file) });
    this.change();
  }

  undo() {
    this.pen.lift();
    this.history.undo();
    this.change();
  }

  clear() {
    this.pen.lift();
    this.history.clear();
    this.change();
  }

  press(event) {
    if (event.target.matches("input:not([type=file])")) return;
    const isUndo = (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z";
    const isClear = event.key === "Delete" || event.key === "Escape";
    if (isUndo) this.undo();
    if (isClear) this.clear();
    if (isUndo || isClear) event.preventDefault();
  }

  // Paints and asks anew after anything has changed.
  change() {
    this.version += 1;
    this.page.main.dataset.version = this.version;
    this.paint();
    const isEmpty = this.history.isEmpty();
    this.page.undo.disabled = !this.history.canUndo();
    this.page.clear.disabled = isEmpty;
    this.page.invitation.hidden = !isEmpty;
    if (isEmpty) {
      this.asking.forget();
      this.answers.showNothing();
      this.settle(this.version);
      return;
    }
    const strokes = this.history.strokes().map((points) => [...points]);
    this.asking.about({ strokes, picture: this.history.picture(), isDown: this.isDown, version: this.version });
  }

  paint() {
    const picture = this.history.picture();
    const isUnseen = picture !== null && picture.image === null;
    this.page.pad.classList.toggle("shows-picture", picture !== null);
    paintPad(this.page.canvas, this.history.strokes(), picture);
    this.page.pad.dataset.unseen = isUnseen ? picture.file.name || "picture" : "";
  }

  answer(answer, request) {
    this.answers.show(answer, request.picture !== null, request.isDown);
    this.settle(request.version);
  }

  // Tells which version of the drawing the page's answer is about.
  settle(version) {
    this.page.trouble.textContent = "";
    this.page.main.dataset.answered = version;
  }

  async fail(error) {
    this.answers.showNothing();
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
