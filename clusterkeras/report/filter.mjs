// Keep the clusters that the form asks for, in the table, on the map, in the figures.

function asked(form, source) {
  const n = source.get_length()
  const keep = new Array(n).fill(true)
  for (const input of form.querySelectorAll("[data-column]")) {
    const bound = input.valueAsNumber
    if (Number.isNaN(bound)) continue
    const values = source.data[input.dataset.column]
    // a row without a number is in no range
    const inside = input.dataset.bound === "low" ? (v) => v >= bound : (v) => v <= bound
    for (let i = 0; i < n; i++) keep[i] &&= inside(values[i])
  }
  const text = form.elements.id.value.trim().toLowerCase()
  const flags = form.elements.flags.value
  const bits = Number(flags)
  for (let i = 0; i < n; i++) {
    const set = source.data.flags[i]
    keep[i] &&= !text || source.data.id[i].toLowerCase().includes(text)
    if (flags === "none") keep[i] &&= set === 0
    else if (bits > 0) keep[i] &&= (set & bits) !== 0
    else if (bits < 0) keep[i] &&= (set & -bits) === 0
  }
  return keep
}

// A cluster that stands for more than these, missed ones with it, says nothing.
const MOST = 10

function count(keep, source, values, edges, histogram) {
  const n = edges.length - 1
  const floor = histogram.data.floor[0]
  const rows = new Float64Array(n)
  const clusters = new Float64Array(n)
  const corrected = new Float64Array(n)
  const found = source.data.completeness
  const width = (edges[n] - edges[0]) / n
  keep.forEach((kept, i) => {
    const bin = Math.floor((values[i] - edges[0]) / width)
    if (!kept || !(bin >= 0 && bin < n)) return
    rows[bin] += 1
    const p = source.data.p_cluster[i] || 0
    clusters[bin] += p
    if (found) corrected[bin] += p * Math.min(1 / found[i] || 1, MOST)
  })
  const above = (v) => Math.max(v, floor)
  histogram.data = {
    ...histogram.data,
    rows: Array.from(rows, above),
    clusters: Array.from(clusters, above),
    corrected: Array.from(corrected, above),
  }
}

export default function ({source, keep, histograms, counted, edges}) {
  const form = document.getElementById("filters")
  const apply = () => {
    const kept = asked(form, source)
    keep.booleans = kept
    const n = kept.reduce((sum, is) => sum + is, 0)
    // what is not in the table is not chosen either
    const [chosen] = source.selected.indices
    if (chosen != null && !kept[chosen]) source.selected.indices = []
    const expected = kept.reduce((sum, is, i) => sum + (is && source.data.p_cluster[i] || 0), 0)
    document.getElementById("expected").textContent =
      expected.toLocaleString("en", {maximumFractionDigits: 1})
    document.getElementById("nothing").hidden = n > 0
    const all = source.get_length()
    document.getElementById("count").textContent =
      `${n.toLocaleString("en")} of ${all.toLocaleString("en")}`
    histograms.forEach((histogram, k) => {
      count(kept, source, source.data[counted[k]], edges[k], histogram)
    })
  }
  form.addEventListener("input", apply)
  form.addEventListener("submit", (event) => event.preventDefault())
  document.getElementById("all").addEventListener("click", () => {
    for (const input of form.querySelectorAll("input")) input.value = ""
    form.elements.flags.value = "any"
    apply()
  })
  apply()
  // a page opens on the best cluster that is shown
  const best = keep.booleans.indexOf(true)
  if (best >= 0) source.selected.indices = [best]
}
