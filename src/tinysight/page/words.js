// What the page says, as it fits the classifier: pictures are shown, characters are drawn.

const DRAWN_KEYS =
  "Or paste or drop a picture. By keyboard: arrow keys move the pen, space puts it down and lifts it, " +
  "Ctrl-Z takes back, Delete clears.";
const SHOWN_KEYS = "Or paste or drop one. By keyboard: Ctrl-V pastes, Ctrl-Z takes back, Delete clears.";

// Returns {section, pad, invitation, keys, nothing, noneOfThese} for what describe() says of a classifier.
export function wordsFor({ class_names, framing, takes_photographs }) {
  if (takes_photographs) {
    return {
      section: "Picture",
      pad: "The picture shown",
      invitation: "Show a picture",
      keys: SHOWN_KEYS,
      nothing: "No picture yet",
      noneOfThese: "none of these",
    };
  }
  const isDigits = class_names.join() === "0,1,2,3,4,5,6,7,8,9";
  const isDrawn = framing.method === "ink";
  return {
    section: "Drawing",
    pad: "Drawing area",
    invitation: isDigits ? "Draw a digit" : isDrawn ? "Draw a character" : "Draw here, or drop a picture",
    keys: DRAWN_KEYS,
    nothing: "Nothing drawn yet",
    noneOfThese: isDigits ? "not a digit" : "none of these",
  };
}
