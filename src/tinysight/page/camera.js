// Takes a picture with the camera, which is on only from a press of its button until the picture is taken.

const WANTED = { audio: false, video: { facingMode: "environment", width: { ideal: 1280 }, height: { ideal: 960 } } };
const QUALITY = 0.95; // of the picture as a JPEG file
const REASONS = {
  NotAllowedError: "The browser does not allow this page the camera; allow it there, or choose a picture",
  NotFoundError: "This device has no camera; choose a picture instead",
  NotReadableError: "Another program uses the camera; close that, or choose a picture",
};
const INSECURE = "Browsers allow the camera only at https:// or on this computer itself; choose a picture instead";

export class Camera {
  // `onChange(isOn)` is called when the camera is switched on or off.
  constructor(video, onChange) {
    Object.assign(this, { video, onChange, stream: null, isWanted: false });
    document.addEventListener("visibilitychange", () => document.hidden && this.stop());
    addEventListener("pagehide", () => this.stop());
  }

  get isOn() {
    return this.stream !== null;
  }

  // Asks the user for the camera and shows what it sees; throws an Error whose message says why there is none.
  async start() {
    if (this.isWanted) return;
    if (!navigator.mediaDevices) throw new Error(INSECURE);
    this.isWanted = true;
    const stream = await navigator.mediaDevices.getUserMedia(WANTED).catch((error) => {
      this.isWanted = false;
      throw new Error(REASONS[error.name] ?? `The camera does not start (${error.name}); choose a picture instead`);
    });
    this.stream = stream;
    if (!this.isWanted) return this.stop(); // it was stopped while the user was asked
    for (const track of stream.getTracks()) track.addEventListener("ended", () => this.stop());
    this.video.srcObject = stream;
    await this.video.play().catch(() => {}); // rejected where it is stopped at once
    if (this.isOn) this.onChange(true);
  }

  // Returns what the camera sees as a picture file, and switches it off.
  async take() {
    if (!this.video.videoWidth) throw new Error("The camera has shown nothing yet; try again");
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [this.video.videoWidth, this.video.videoHeight];
    canvas.getContext("2d").drawImage(this.video, 0, 0);
    this.stop();
    const data = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
    return new File([data], "camera.jpg", { type: "image/jpeg" });
  }

  stop() {
    this.isWanted = false;
    if (!this.isOn) return;
    for (const track of this.stream.getTracks()) track.stop();
    this.stream = this.video.srcObject = null;
    this.onChange(false);
  }
}
