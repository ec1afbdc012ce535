// Listens for a picture that is chosen, pasted or dropped.

export function listenForPictures(page, onPicture) {
  const take = (files) => {
    const picture = [...(files ?? [])].find((file) => file.type.startsWith("image/")) ?? files?.[0];
    if (picture) onPicture(picture);
    return Boolean(picture);
  };
  page.choose.addEventListener("click", () => page.file.click());
  page.file.addEventListener("change", () => {
    take(page.file.files);
    page.file.value = ""; // so that the same file can be chosen again
  });
  document.addEventListener("paste", (event) => {
    if (take(event.clipboardData?.files)) event.preventDefault();
  });
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    page.pad.classList.add("awaits-drop");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) page.pad.classList.remove("awaits-drop");
  });
  document.addEventListener("drop", (event) => {
    page.pad.classList.remove("awaits-drop");
    if (!carriesFiles(event)) return;
    event.preventDefault();
    take(event.dataTransfer.files);
  });
}

// Returns a picture file as an ImageBitmap to paint, or null if the browser cannot decode it.
export async function imageOf(file) {
  return await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
}

const MOST_PIXELS = 4_000_000; // of a photograph; the network sees far fewer, and a service refuses large ones

// Returns a photograph's file, of a large one a smaller copy. `image` is what imageOf() returned for it.
export async function smallerFile(file, image) {
  const scale = image ? Math.sqrt(MOST_PIXELS / (image.width * image.height)) : 1;
  if (scale >= 1) return file;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width, image.height].map((side) => Math.max(1, Math.floor(scale * side)));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const type = file.type === "image/jpeg" ? "image/jpeg" : "image/png"; // others may be transparent
  const copy = await new Promise((resolve) => canvas.toBlob(resolve, type, 0.95));
  return copy ? new File([copy], file.name, { type }) : file;
}
