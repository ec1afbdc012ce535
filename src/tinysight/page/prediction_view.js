// Shows what the classifier says, as words, bars and the pixels it saw; does not know where answers come from.

import { paintSeen } from "./canvas.js";

const ALL_SHOWN = 12; // so many classes are shown all, in their own order; of more the most probable
const MOST_SHOWN = 8;
const QUIET = 900; // milliseconds without a new answer before it is spoken

function percent(share) {
  if (share > 0.999) return "> 99.9 %"; // never quite sure
  return `${(100 * share).toFixed(share < 0.0005 ? 0 : 1)} %`;
}

export class Answers {
  constructor(page, classifier) {
    this.page = page;
    this.classNames = classifier.class_names;
    this.framing = classifier.framing;
    const isDigits = this.classNames.join() === "0,1,2,3,4,5,6,7,8,9";
    this.noneOfThese = isDigits ? "not a digit" : "none of these";
    this.invitation = isDigits ? "Draw a digit" : "Draw here, or drop a picture";
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

  // `isUnfinished` while a stroke is drawn: what is not yet anything is not called nothing.
  show(answer, isPicture, isUnfinished) {
    const { page } = this;
    const isRejected = answer.is_rejected && !isUnfinished;
    page.best.textContent = isRejected ? this.noneOfThese : answer.class_name;
    page.sure.textContent = this.surety(answer, isRejected);
    const isTelling = isPicture || (isRejected && !answer.note.startsWith("framed from")); // a drawing always is framed
    page.note.textContent = isTelling ? answer.note : "";
    paintSeen(page.seen, this.framing, answer.pixels);
    page.seen.setAttribute("aria-label", `What the network sees, ${this.framing.width}×${this.framing.height} pixels`);
    this.fillBars(answer, isRejected);
    Object.assign(page.main.dataset, {
      state: answer.is_rejected ? (isUnfinished ? "unsure" : "rejected") : "answered",
      className: answer.class_name,
      probability: answer.probability,
      rejected: answer.is_rejected,
    });
    page.best.classList.toggle("long", page.best.textContent.length > 3);
    this.speak(isRejected ? this.noneOfThese : `${answer.class_name}, ${Math.round(100 * answer.probability)} percent`);
  }

  surety(answer, isRejected) {
    if (!isRejected) return `${percent(answer.probability)} sure`;
    const isBlank = !answer.pixels.some((value) => value > 0);
    return isBlank ? "" : `most like ${answer.class_name}, ${percent(answer.probability)}`;
  }

  fillBars(answer, isRejected) {
    const shares = new Map(answer.ranking.map((entry) => [entry.class_name, entry.probability]));
    const names = this.isFixed ? this.classNames : [...shares.keys()];
    names.forEach((name, place) => {
      const { row, name: label, bar, share } = this.bars[place];
      label.textContent = label.title = name;
      share.textContent = percent(shares.get(name) ?? 0);
      bar.style.setProperty("--share", shares.get(name) ?? 0);
      row.classList.toggle("top", name === answer.class_name && !isRejected);
    });
  }

  showNothing() {
    const { page } = this;
    page.best.textContent = "–";
    page.best.classList.remove("long");
    page.sure.textContent = "Nothing drawn yet";
    page.note.textContent = "";
    paintSeen(page.seen, this.framing, null);
    page.seen.setAttribute("aria-label", "What the network sees: nothing yet");
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

  // Speaks once answers have come to rest, so that a screen reader is not flooded while drawing.
  speak(words) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (this.page.spoken.textContent = words), QUIET);
  }
}
