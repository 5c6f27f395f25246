// Where markers overlap, choose the nearest to the click and not all of them.

export default function ({source, x, y, plot}, _tool, {geometries}) {
  const {indices} = source.selected
  if (indices.length < 2) return
  const width = (range) => Math.abs(range.end - range.start)
  const distance = (i) => Math.hypot(
    (source.data[x][i] - geometries.x) / width(plot.x_range),
    (source.data[y][i] - geometries.y) / width(plot.y_range),
  )
  const nearest = indices.reduce((a, b) => (distance(b) < distance(a) ? b : a))
  source.selected.indices = [nearest]
}
