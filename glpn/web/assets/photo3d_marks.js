// Measured lines on a 3D photo; they move with the places that they are measured between.
const SVG = "http://www.w3.org/2000/svg";

export class Marks {
  constructor(view) {
    this.view = view;
    this.lines = [];
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("class", "measure-lines");
    this.svg.setAttribute("aria-hidden", "true");
    view.stage.append(this.svg);
  }

  // `marks` are {points: [[x, y], …], text}, x and y from 0 to 1 on the photo.
  show(marks) {
    this.svg.replaceChildren();
    this.lines = marks.map(({ points, text }) => {
      const paths = ["measure-halo", "measure-line"].map((kind) =>
        this.node("path", { class: kind, "stroke-width": kind === "measure-halo" ? 5 : 2 }),
      );
      const label = this.node("text", { class: "measure-text", "font-size": 16, "stroke-width": 4 });
      label.textContent = text;
      return { points, paths, label };
    });
    this.place();
  }

  node(name, attributes) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return this.svg.appendChild(made);
  }

  // Put everything where its places are seen now.
  place() {
    const { view } = this;
    if (!view.scene || !view.renderer) return;
    const { clientWidth: width, clientHeight: height } = view.stage;
    for (const { points, paths, label } of this.lines) {
      const seen = points.map(([x, y]) => view.seenAt(x, y)).map(({ x, y }) => [x * width, y * height]);
      for (const path of paths) path.setAttribute("d", `M${seen.map((at) => at.join(" ")).join("L")}`);
      const middle = [0, 1].map((axis) => seen.reduce((sum, at) => sum + at[axis], 0) / seen.length);
      label.setAttribute("x", middle[0]);
      label.setAttribute("y", middle[1] - 8);
    }
  }
}
