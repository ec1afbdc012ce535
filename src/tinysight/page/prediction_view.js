// Shows a prediction as words, bars and the network's input.

import { paintInput } from "./canvas.js";

const ALL_SHOWN = 12; // up to so many classes are all shown, in their own order
const MOST_SHOWN = 8; // of more classes so many are shown, the most probable first
const TOO_SMALL = "too little ink to read: draw it larger"; // of a dot, which framing leaves out as dirt
const QUIET = 900; // milliseconds without a new prediction before it is announced

// Whether framing found nothing to show to the network.
function isBlank(prediction) {
  return !prediction.pixels.some((value) => value > 0);
}

function percent(share) {
  if (share > 0.999) return "> 99.9 %"; // no prediction is certain
  return `${(100 * share).toFixed(share < 0.0005 ? 0 : 1)} %`;
}

export class PredictionView {
  // `words` is what wordsFor() returns for the classifier.
  constructor(page, classifier, words) {
    Object.assign(this, { page, words });
    this.classNames = classifier.class_names;
    this.framing = classifier.framing;
    this.isFixed = this.classNames.length <= ALL_SHOWN;
    this.top = this.isFixed ? this.classNames.length : MOST_SHOWN;
    this.makeBars();
    this.showNothing();
  }

  makeBars() {
    this.bars = Array.from({ length: this.top }, () => {
      const row = document.createElement("li");
      const inside = '<span class="track"><span class="bar"></span></span><span class="share"></span>';
      row.innerHTML = `<span class="class"></span>${inside}`;
      const [name, track, share] = row.children;
      return { row, name, bar: track.firstChild, share };
    });
    this.page.bars.replaceChildren(...this.bars.map((bar) => bar.row));
    const longest = Math.max(...this.classNames.map((name) => name.length));
    this.page.bars.classList.toggle("short", this.isFixed && longest <= 3);
    this.page.bars.style.setProperty("--half", Math.ceil(this.top / 2));
    this.page.bars.style.setProperty("--class-width", `${Math.min(longest + 0.5, 13)}ch`);
  }

  // While a stroke is drawn (`isUnfinished`), a rejection is not shown.
  show(prediction, isPicture, isUnfinished) {
    const { page } = this;
    const isRejected = prediction.is_rejected && !isUnfinished;
    page.best.textContent = isRejected ? this.words.noneOfThese : prediction.class_name;
    page.confidence.textContent = this.confidence(prediction, isRejected);
    const isAboutSize = prediction.note.startsWith("framed from"); // true of every drawing
    const isNoteShown = isPicture || (isRejected && !isAboutSize);
    const note = !isPicture && isBlank(prediction) ? TOO_SMALL : prediction.note;
    page.note.textContent = isNoteShown ? note : "";
    const attribution = isBlank(prediction) ? undefined : prediction.attribution;
    paintInput(page.input, this.framing, prediction.pixels, attribution);
    const size = `${this.framing.width}×${this.framing.height}`;
    page.input.setAttribute("aria-label", `What the network sees, ${size} pixels`);
    this.explain(attribution);
    this.fillBars(prediction, isRejected);
    Object.assign(page.main.dataset, {
      state: prediction.is_rejected ? (isUnfinished ? "unsure" : "rejected") : "answered",
      className: prediction.class_name,
      probability: prediction.probability,
      rejected: prediction.is_rejected,
    });
    page.best.classList.toggle("long", page.best.textContent.length > 2);
    const spoken = `${prediction.class_name}, ${Math.round(100 * prediction.probability)} percent`;
    this.speak(isRejected ? this.words.noneOfThese : spoken);
  }

  confidence(prediction, isRejected) {
    if (!isRejected) return `${percent(prediction.probability)} sure`;
    return isBlank(prediction) ? "" : `most like ${prediction.class_name}, ${percent(prediction.probability)}`;
  }

  // Says what the colours of the network's input mean, if it is coloured.
  explain(attribution) {
    const entry = (className, textContent) => Object.assign(document.createElement("span"), { className, textContent });
    this.page.legend.replaceChildren();
    if (!attribution) return;
    const { class_name, other } = attribution;
    this.page.legend.append(entry("for", `orange: for ${class_name}`), " ", entry("against", `blue: for ${other}`));
  }

  fillBars(prediction, isRejected) {
    const shares = new Map(prediction.ranking.map((entry) => [entry.class_name, entry.probability]));
    const names = this.isFixed ? this.classNames : [...shares.keys()];
    names.forEach((name, place) => {
      const { row, name: label, bar, share } = this.bars[place];
      label.textContent = label.title = name;
      share.textContent = percent(shares.get(name) ?? 0);
      bar.style.setProperty("--share", shares.get(name) ?? 0);
      row.classList.toggle("top", name === prediction.class_name && !isRejected);
    });
  }

  showNothing() {
    const { page } = this;
    page.best.textContent = "–";
    page.best.classList.remove("long");
    page.confidence.textContent = this.words.nothing;
    page.note.textContent = "";
    paintInput(page.input, this.framing, null);
    page.input.setAttribute("aria-label", "What the network sees: nothing yet");
    this.explain();
    this.bars.forEach(({ row, name, bar, share }, place) => {
      name.textContent = this.isFixed ? this.classNames[place] : "";
      share.textContent = "";
      bar.style.setProperty("--share", 0);
      row.classList.remove("top");
    });
    for (const key of ["className", "probability", "rejected"]) delete page.main.dataset[key];
    page.main.dataset.state = "empty";
    clearTimeout(this.timer);
  }

  // Announces words once predictions have settled, so that a screen reader is not flooded while drawing.
  speak(words) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (this.page.spoken.textContent = words), QUIET);
  }
}
