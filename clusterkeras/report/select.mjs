// Show the chosen cluster: its cutout, the contours of its posterior, its numbers.

let pictures, words

const byId = (id) => document.getElementById(id)

function load() {
  pictures ??= JSON.parse(byId("pictures").textContent)
  words ??= JSON.parse(byId("flag-words").textContent)
}

// The regions of all planes as Bokeh's multi-polygons; see contours.py for the bytes.
function decode(coded, low, high, planes, hole, nStyles) {
  const bytes = Uint8Array.from(atob(coded), (c) => c.charCodeAt(0))
  const found = planes.map(() => Array.from({length: nStyles}, () => ({xs: [], ys: []})))
  for (let at = 0; at < bytes.length; ) {
    const n = bytes[at + 1]
    const region = bytes[at] % hole
    const plane = Math.floor(region / nStyles)
    const {xs, ys} = found[plane][region % nStyles]
    const ring = [[], []]
    for (let k = 0; k < 2 * n; k++) {
      const axis = planes[plane].axes[k % 2]
      const share = bytes[at + 2 + k] / 255
      ring[k % 2].push(low[axis] + share * (high[axis] - low[axis]))
    }
    if (bytes[at] >= hole) {
      xs.at(-1).push(ring[0])
      ys.at(-1).push(ring[1])
    } else {
      xs.push([ring[0]])
      ys.push([ring[1]])
    }
    at += 2 + 2 * n
  }
  return found
}

// Show the posterior's window and as much again, a dex or a magnitude at least.
function zoom({ranges, axes, box}, low, high) {
  ranges.forEach((range, k) => {
    const [from, to] = box[k]
    const [a, b] = [low[axes[k]] ?? from, high[axes[k]] ?? to]
    const width = Math.min(Math.max(1.6 * (b - a), 1), to - from)
    const start = Math.min(Math.max((a + b - width) / 2, from), to - width)
    range.setv({start, end: start + width, reset_start: from, reset_end: to})
  })
}

function drawContours(i, {planes, hole, styles}) {
  const {contours, low, high} = pictures
  const found = decode(contours[i], low[i], high[i], planes, hole, styles.length)
  planes.forEach((plane, p) => {
    zoom(plane, low[i], high[i])
    // the wider region below
    const regions = found[p].map((r, k) => ({...r, style: styles[k]})).reverse()
    const drawn = regions.filter((r) => r.xs.length)
    plane.regions.data = {
      xs: drawn.map((r) => r.xs),
      ys: drawn.map((r) => r.ys),
      alpha: drawn.map((r) => r.style[0]),
      width: drawn.map((r) => r.style[1]),
    }
  })
}

function clear({planes}) {
  for (const {regions} of planes) regions.data = {xs: [], ys: [], alpha: [], width: []}
  byId("cutout").querySelector("image").setAttribute("href", "data:,")
  byId("numbers").replaceChildren()
}

function drawCutout(row, i, {px, pixel_scale}) {
  const svg = byId("cutout").querySelector("svg")
  const image = svg.querySelector("image")
  const jpeg = pictures.cutouts[i]
  image.setAttribute("href", jpeg ? `data:image/jpeg;base64,${jpeg}` : "data:,")
  const radius = 10 ** row("log_half_light_radius") / pixel_scale
  // the cutout is placed by whole pixels; its first row is at the bottom
  const offset = (value) => value - Math.floor(value + 1e-3)
  const [x, y] = [px / 2 - 0.5 + offset(row("x")), px / 2 + 0.5 - offset(row("y"))]
  const r = jpeg && Number.isFinite(radius) ? radius : 0
  for (const circle of svg.querySelectorAll("circle")) {
    circle.setAttribute("cx", x)
    circle.setAttribute("cy", y)
    circle.setAttribute("r", r)
  }
  // two ticks beside the object, which they leave free
  const [near, tick] = [Math.max(0.07 * px, r + 0.02 * px), 0.09 * px]
  const ticks = jpeg ? `M ${x + near} ${y} h ${tick} M ${x} ${y + near} v ${tick}` : ""
  for (const path of svg.querySelectorAll("path.under, path.over")) {
    path.setAttribute("d", ticks)
  }
  svg.setAttribute("aria-label", jpeg ? `Cutout of ${row("id")} in colour` : "No cutout")
  byId("cutout").querySelector("figcaption").textContent = jpeg
    ? `white: ${number(pictures.white[i], 1)} mag/″² (Vega)`
    : "no data here"
}

function number(value, digits = 2) {
  return Number.isFinite(value) ? value.toFixed(digits) : "–"
}

function interval(row, name, digits = 2) {
  const [low, middle, high] = ["_p16", "", "_p84"].map((key) => row(name + key))
  if (!Number.isFinite(middle)) return "–"
  const up = (high - middle).toFixed(digits)
  const down = (middle - low).toFixed(digits)
  return `${middle.toFixed(digits)} <span class="pm">+${up} −${down}</span>`
}

// The age and its interval, all in the unit of the age.
function years(row) {
  const [low, middle, high] = ["_p16", "", "_p84"].map((key) => 10 ** row(`log_age${key}`))
  const [size, unit] = middle < 1e9 ? [1e6, "Myr"] : [1e9, "Gyr"]
  const short = (value) => Number((value / size).toPrecision(2))
  return `${short(middle)} (${short(low)} to ${short(high)}) ${unit}`
}

function escaped(text) {
  const element = document.createElement("span")
  element.textContent = text
  return element.innerHTML
}

function writeNumbers(row, band) {
  const age = row("log_age")
  const lines = [
    ["p", number(row("p_cluster"))],
    ["log S/N", number(row("log_snr"), 1)],
    ["log age", `${interval(row, "log_age")} yr`],
    ["", Number.isFinite(age) ? years(row) : ""],
    ["A<sub>V</sub>", `${interval(row, "a_v")} mag`],
    ["log M", `${interval(row, "log_mass")} M<sub>☉</sub>`],
    ["r<sub>h</sub>", `${interval(row, "size")} pc`],
    ["", Number.isFinite(age)
      ? `${number(10 ** row("log_half_light_radius"), 3)} arcsec` : ""],
    [escaped(band), `${number(row("magnitude"))} AB mag`],
    ["x, y", `${number(row("x"), 1)}, ${number(row("y"), 1)} px`],
    ["RA, Dec", `${number(row("ra"), 5)}, ${number(row("dec"), 5)}°`],
  ]
  const flags = row("words").split(", ").filter(Boolean)
  const said = flags.length
    ? flags.map((f) => `<span title="${escaped(words[f])}">${f}</span>`).join(", ")
    : "none"
  byId("numbers").innerHTML =
    `<caption>${escaped(row("id"))}</caption>` +
    lines.map(([a, b]) => `<tr><th scope="row">${a}</th><td>${b}</td></tr>`).join("") +
    `<tr><th scope="row">flags</th>` +
    `<td class="${flags.length ? "flags" : ""}">${said}</td></tr>`
}

// Bring the place into the map's view, without another zoom.
function centre({x_range, y_range}, x, y) {
  for (const [range, value] of [[x_range, x], [y_range, y]]) {
    if (value < range.start || value > range.end) {
      const half = (range.end - range.start) / 2
      range.setv({start: value - half, end: value + half})
    }
  }
}

// Arrow keys go on from the chosen row, also if it was chosen elsewhere or not yet.
function activate(table, i) {
  const view = Bokeh.index.find_one(table)
  const row = view?.data?.index.indexOf(i) ?? -1
  if (row >= 0 && view.grid.getActiveCell()?.row !== row) view.grid.setActiveCell(row, 0)
}

export default function (args) {
  load()
  const {source} = args
  const [i] = source.selected.indices
  byId("cluster").classList.toggle("empty", i == null)
  if (i == null) {
    clear(args)
    return
  }
  const row = (name) => source.data[name]?.[i]
  drawCutout(row, i, args)
  drawContours(i, args)
  writeNumbers(row, args.band)
  activate(args.table, i)
  if (Number.isFinite(row("x")) && Number.isFinite(row("y"))) {
    centre(args.map, row("x"), row("y"))
  }
}
