// Sends one request at a time; of those that arrive meanwhile, only the newest is kept.

const PAUSE = 60; // milliseconds between the starts of two requests, at least
const BUSY_SHARE = 0.5; // of the time may be spent on requests: drawing stays smooth even if they are computed here

export class LatestOnlyQueue {
  // `send(request, signal)` promises a response; then `onResponse(response, request)` or `onError(error)` is called.
  constructor(send, onResponse, onError) {
    Object.assign(this, { send, onResponse, onError });
    this.waiting = null;
    this.underWay = null; // its AbortController
  }

  push(request) {
    this.waiting = request;
    if (!this.underWay) this.next();
  }

  // Drops the request that waits and aborts the one under way.
  cancel() {
    this.waiting = null;
    this.underWay?.abort();
  }

  async next() {
    const request = this.waiting;
    const control = new AbortController();
    [this.waiting, this.underWay] = [null, control];
    const start = performance.now();
    try {
      const response = await this.send(request, control.signal);
      if (!control.signal.aborted) this.onResponse(response, request);
    } catch (error) {
      if (!control.signal.aborted) this.onError(error);
    }
    const took = performance.now() - start;
    const rest = Math.max(PAUSE - took, (took * (1 - BUSY_SHARE)) / BUSY_SHARE);
    await new Promise((resume) => setTimeout(resume, rest));
    this.underWay = null;
    if (this.waiting) this.next();
  }
}
