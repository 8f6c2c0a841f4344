//! Line charts as SVG, as far as the docs need them.

use std::fmt::Write;

/// A named line of a chart.
#[derive(Debug, Clone)]
pub struct Line {
    /// Name in the legend.
    pub name: String,
    /// Points in the order in which they are joined.
    pub points: Vec<(f64, f64)>,
}

/// A line chart.
#[derive(Debug, Clone)]
pub struct Chart {
    /// Title above the chart.
    pub title: String,
    /// Label of the x axis.
    pub x: String,
    /// Label of the y axis.
    pub y: String,
    /// Lines; colours repeat after four.
    pub lines: Vec<Line>,
    /// True for a logarithmic x axis.
    pub log_x: bool,
}

const COLORS: [&str; 4] = ["#2563eb", "#dc2626", "#059669", "#9333ea"];
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 36.0;
const RIGHT: f64 = 20.0;
const BOTTOM: f64 = 48.0;

impl Chart {
    /// Returns the chart as an SVG document.
    pub fn svg(&self) -> String {
        let x_of = |x: f64| if self.log_x { x.max(1e-9).log2() } else { x };
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let range = |values: Vec<f64>| {
            let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
            (low, if high > low { high } else { low + 1.0 })
        };
        let (x0, x1) = range(points().map(|p| x_of(p.0)).collect());
        let (y0, y1) = range(points().map(|p| p.1).collect());
        let at = |x: f64, y: f64| {
            let across = (x_of(x) - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT) + LEFT;
            (across, HEIGHT - BOTTOM - (y - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM))
        };
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{}</text>\n",
            self.title
        );
        for step in 0..=4 {
            let y = y0 + (y1 - y0) * f64::from(step) / 4.0;
            let height = at(1.0, y).1;
            let digits = if y1 - y0 > 10.0 { 0 } else { 2 };
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{height:.1}\" y2=\"{height:.1}\" stroke=\"#ddd\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{y:.digits$}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                height + 4.0
            );
        }
        let mut ticks: Vec<f64> = if points().count() > 60 {
            (0..=5).map(|i| (x0 + (x1 - x0) * f64::from(i) / 5.0).round()).collect()
        } else {
            points().map(|p| p.0).collect()
        };
        ticks.sort_by(f64::total_cmp);
        ticks.dedup();
        for x in ticks {
            let (across, down) = (at(x, y0).0, HEIGHT - BOTTOM + 16.0);
            let _ =
                writeln!(svg, "<text x=\"{across:.1}\" y=\"{down}\" text-anchor=\"middle\">{x:.0}</text>");
        }
        for (line, color) in self.lines.iter().zip(COLORS.iter().cycle()) {
            let path: Vec<_> = line.points.iter().map(|&(x, y)| at(x, y)).collect();
            let path: Vec<_> = path.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(
                svg,
                "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" points=\"{}\"/>",
                path.join(" ")
            );
        }
        for (row, (line, color)) in self.lines.iter().zip(COLORS.iter().cycle()).enumerate() {
            let y = TOP + 12.0 + 16.0 * row as f64;
            let _ =
                writeln!(svg, "<text x=\"{}\" y=\"{y}\" fill=\"{color}\">{}</text>", LEFT + 12.0, line.name);
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text x=\"14\" y=\"{}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {})\">{}</text>\n</svg>",
            WIDTH / 2.0,
            HEIGHT - 10.0,
            self.x,
            HEIGHT / 2.0,
            HEIGHT / 2.0,
            self.y
        );
        svg
    }
}
