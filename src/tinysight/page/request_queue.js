// Asks for one answer at a time, always about the latest picture; does not know what a picture or an answer is.
//
// While one request is under way only the newest of those that follow is kept, so that requests never pile up.

const PAUSE = 60; // milliseconds between requests at least
const SHARE = 0.5; // of the time may be spent on answers, so that drawing stays smooth where they are computed here

export class Asking {
  // `ask(request, signal)` promises an answer; `show(answer, request)` and `fail(error)` take what comes of it.
  constructor(ask, show, fail) {
    Object.assign(this, { ask, show, fail });
    this.waiting = null;
    this.underWay = null;
  }

  about(request) {
    this.waiting = request;
    if (!this.underWay) this.next();
  }

  // Gives up what is under way: its answer would be about something that is gone.
  forget() {
    this.waiting = null;
    this.underWay?.abort();
  }

  async next() {
    const request = this.waiting;
    const control = new AbortController();
    [this.waiting, this.underWay] = [null, control];
    const start = performance.now();
    try {
      const answer = await this.ask(request, control.signal);
      if (!control.signal.aborted) this.show(answer, request);
    } catch (error) {
      if (!control.signal.aborted) this.fail(error);
    }
    const took = performance.now() - start;
    await new Promise((resume) => setTimeout(resume, Math.max(PAUSE - took, (took * (1 - SHARE)) / SHARE, 0)));
    this.underWay = null;
    if (this.waiting) this.next();
  }
}
