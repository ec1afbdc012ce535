// Classifies pictures with the service that the page comes from, over HTTP.

export class ServiceClient {
  constructor() {
    this.key = ""; // in memory only: gone with the page
  }

  async describe() {
    return await (await this.send("classifier", {})).json();
  }

  // Returns {source, class_name, probability, ranking, is_rejected, note, pixels}; the pixels are a Uint8Array.
  async predict(picture, top, signal) {
    const options = { method: "POST", body: picture, signal };
    const response = await this.send(`predict?top=${top}&pixels=true`, options);
    const [prediction] = (await response.json()).predictions;
    return { ...prediction, pixels: Uint8Array.from(atob(prediction.pixels), (byte) => byte.charCodeAt(0)) };
  }

  async send(path, options) {
    const headers = this.key ? { Authorization: `Bearer ${this.key}` } : {};
    const response = await fetch(path, { ...options, headers }).catch((error) => {
      throw error.name === "AbortError" ? error : new Error("The service does not answer; is it still running?");
    });
    if (response.ok) return response;
    const body = await response.json().catch(() => ({}));
    const message = body.error || `The service answered with status ${response.status}`;
    throw Object.assign(new Error(message), { needsKey: response.status === 401 });
  }
}
