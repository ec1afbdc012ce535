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
