// Which clusters the map marks: all that the filter keeps, the likely, or the chosen one.
// Those without a mark can be chosen all the same.

const OPACITY = {all: {field: "opacity"}, likely: {field: "likely"}, chosen: {value: 0}}

export default function ({glyphs}) {
  const form = document.getElementById("marks")
  form.addEventListener("input", () => {
    for (const glyph of [glyphs.glyph, glyphs.nonselection_glyph]) {
      glyph.line_alpha = OPACITY[form.elements.marks.value]
    }
  })
}
