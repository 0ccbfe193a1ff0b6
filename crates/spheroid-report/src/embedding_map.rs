//! Scatter plot of wells in two dimensions, with one unit as long along both axes.

use std::collections::BTreeSet;

use maud::{Markup, html};
use spheroid_core::Day;

use crate::{
    EmbeddingMap, MapPoint,
    axis::{Axis, LogAxis},
    colour::{Rgb, viridis},
    colour_bar::{self, colour_bar},
    group,
    number::Place,
    plot::{Frame, Plot, legend, legend_height, shortened},
    shape::Shape,
};

const WIDTH: f64 = 640.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 624.0;
const TOP: f64 = 14.0;
/// Least and greatest height between the axes.
const HEIGHT: (f64, f64) = (240.0, 520.0);
/// Space between the outermost points and the frame, as a share of the span.
const MARGIN: f64 = 0.05;
/// Points beyond which marks are smaller.
const MANY: usize = 250;

/// What the colour of a point says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Group,
    Dose,
    Day,
}

impl Colour {
    /// Group, and what else the points differ in.
    pub(crate) fn of(map: &EmbeddingMap) -> Vec<Self> {
        let mut colours = vec![Self::Group];
        if map.points.iter().any(|point| dose(point).is_some()) {
            colours.push(Self::Dose);
        }
        if days(map).len() > 1 {
            colours.push(Self::Day);
        }
        colours
    }

    /// The heading of its tab, and in lower case the end of its file's name.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Group => "Group",
            Self::Dose => "Dose",
            Self::Day => "Day",
        }
    }
}

fn dose(point: &MapPoint) -> Option<f64> {
    point.dose.filter(|&dose| dose > 0.0)
}

fn days(map: &EmbeddingMap) -> Vec<Day> {
    let days: BTreeSet<Day> = map.points.iter().map(|point| point.day).collect();
    days.into_iter().collect()
}

/// Draws a point at a place and scale.
type Mark = dyn Fn(&MapPoint, (f64, f64), f64) -> Markup;

/// How points are drawn, and the legend that says so.
struct Coding {
    mark: Box<Mark>,
    entries: Vec<(Markup, String)>,
    /// Ticks and title of a colour bar.
    bar: Option<(Vec<(f64, String)>, &'static str)>,
}

/// Draws a map with at least one point.
pub(crate) fn embedding_map(map: &EmbeddingMap, colour: Colour) -> Plot {
    let (frame, x_axis, y_axis) = equal_axes(&map.points);
    let coding = match colour {
        Colour::Group => by_group(),
        Colour::Dose => by_dose(map),
        Colour::Day => by_day(map),
    };
    let scale = if map.points.len() > MANY { 0.7 } else { 1.0 };
    let at = |point: &MapPoint| {
        (
            frame.x(x_axis.position(point.x)),
            frame.y(y_axis.position(point.y)),
        )
    };
    let below = frame.bottom + 60.0;
    let legend_end = below + legend_height(coding.entries.len(), 3);
    let body = html! {
        (frame.y_grid(&y_axis.marks()))
        (frame.x_grid(&x_axis.marks()))
        (frame.base())
        (frame.titles((46.0, &shortened(&map.x_name, 60)), (18.0, &shortened(&map.y_name, 24))))
        @for point in &map.points {
            g {
                title { (describe(point)) }
                ((coding.mark)(point, at(point), scale))
            }
        }
        (legend(&coding.entries, (LEFT - 10.0, WIDTH), below, 3))
        @if let Some((marks, title)) = &coding.bar {
            (colour_bar((LEFT, RIGHT), legend_end + 10.0, marks, title))
        }
    };
    let bar = coding.bar.map_or(0.0, |_| colour_bar::HEIGHT + 10.0);
    Plot {
        class: "map",
        size: (WIDTH, legend_end + bar + 6.0),
        label: format!(
            "Map of {} points by {} and {}, coloured by {}",
            map.points.len(),
            map.x_name,
            map.y_name,
            colour.label().to_lowercase(),
        ),
        body,
    }
}

fn describe(point: &MapPoint) -> String {
    let dose = dose(point).map_or_else(String::new, |dose| {
        format!(" · dose {}", Place::of([dose], 3).show(dose))
    });
    format!(
        "{} {} · {} ({}){dose} · day {}",
        point.plate,
        point.well,
        point.treatment,
        group::label(point.group),
        point.day,
    )
}

/// A frame and axes on which a unit is as long to the right as upwards.
fn equal_axes(points: &[MapPoint]) -> (Frame, Axis, Axis) {
    let range = |of: fn(&MapPoint) -> f64| {
        points
            .iter()
            .map(of)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v: f64| {
                (low.min(v), high.max(v))
            })
    };
    let (x, y) = (range(|point| point.x), range(|point| point.y));
    let spans = [x.1 - x.0, y.1 - y.0];
    let size = [x.0, x.1, y.0, y.1]
        .into_iter()
        .fold(0.0, |size: f64, v| size.max(v.abs()));
    let width = RIGHT - LEFT;
    let unit = ((spans[0] / width).max(spans[1] / HEIGHT.1) * (1.0 + 2.0 * MARGIN))
        // Points that all but coincide stand in the middle.
        .max(size * 1e-5 / width);
    let unit = if unit > 0.0 { unit } else { 2.0 / width };
    let height = (spans[1] / unit * (1.0 + 2.0 * MARGIN)).clamp(HEIGHT.0, HEIGHT.1);
    let axis = |(low, high): (f64, f64), length: f64, intervals: usize| {
        let (middle, half) = (low + (high - low) / 2.0, unit * length / 2.0);
        Axis::within([middle - half, middle + half], intervals)
    };
    let frame = Frame {
        left: LEFT,
        right: RIGHT,
        top: TOP,
        bottom: TOP + height,
    };
    let upright = ((6.0 * height / width).round() as usize).max(3);
    (frame, axis(x, width, 6), axis(y, height, upright))
}

fn by_group() -> Coding {
    Coding {
        mark: Box::new(|point, at, scale| {
            group::shape(point.group).mark(group::class(point.group), None, at, scale)
        }),
        entries: group::legend().collect(),
        bar: None,
    }
}

/// Shapes of the groups without their colours, for a legend beside a colour bar.
fn shapes() -> Vec<(Markup, String)> {
    group::ALL
        .map(|group| {
            let mark = group::shape(group).mark("ringed", None, (0.0, 0.0), 1.0);
            (mark, group::label(group).to_owned())
        })
        .into()
}

fn by_dose(map: &EmbeddingMap) -> Coding {
    let axis = LogAxis::within(map.points.iter().filter_map(dose));
    let mut entries = shapes();
    let hollow = Shape::Circle.mark("hollow", None, (0.0, 0.0), 1.0);
    entries.push((hollow, "no dose (hollow)".to_owned()));
    Coding {
        mark: Box::new(move |point, at, scale| {
            let shape = group::shape(point.group);
            match dose(point) {
                Some(dose) => shape.mark("ringed", Some(viridis(axis.position(dose))), at, scale),
                None => shape.mark("hollow", None, at, scale),
            }
        }),
        entries,
        bar: Some((axis.marks(7), "dose, logarithmic")),
    }
}

/// A shape a day when there are few, else the shapes of groups and a colour bar.
fn by_day(map: &EmbeddingMap) -> Coding {
    let days = days(map);
    let axis = Axis::within(days.iter().map(|day| day.days()), 8);
    let fill = move |day: Day| -> Rgb { viridis(axis.position(day.days())) };
    if days.len() <= Shape::ALL.len() {
        let shapes: Vec<(Day, Shape)> = days.into_iter().zip(Shape::ALL).collect();
        let entries = shapes.iter().map(|&(day, shape)| {
            let mark = shape.mark("ringed", Some(fill(day)), (0.0, 0.0), 1.0);
            (mark, format!("day {day}"))
        });
        return Coding {
            entries: entries.collect(),
            mark: Box::new(move |point, at, scale| {
                let known = shapes.iter().find(|(day, _)| *day == point.day);
                let shape = known.map_or(Shape::Circle, |(_, shape)| *shape);
                shape.mark("ringed", Some(fill(point.day)), at, scale)
            }),
            bar: None,
        };
    }
    Coding {
        mark: Box::new(move |point, at, scale| {
            group::shape(point.group).mark("ringed", Some(fill(point.day)), at, scale)
        }),
        entries: shapes(),
        bar: Some((axis.marks(), "day")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use spheroid_core::Group;

    use super::*;

    fn point(x: f64, y: f64) -> MapPoint {
        MapPoint {
            plate: "P1".into(),
            well: "B02".parse().unwrap(),
            treatment: "drug".into(),
            group: Group::DrugScreened,
            dose: None,
            day: Day::new(7.0).unwrap(),
            x,
            y,
        }
    }

    fn map(points: Vec<MapPoint>) -> EmbeddingMap {
        EmbeddingMap {
            x_name: "first".into(),
            y_name: "second".into(),
            points,
        }
    }

    proptest! {
        #[test]
        fn a_unit_is_as_long_along_both_axes(
            x in -1e3f64..1e3, y in -1e3f64..1e3, dx in 0.1f64..1e3, dy in 0.1f64..1e3,
        ) {
            let points = [point(x, y), point(x + dx, y + dy)];
            let (frame, x_axis, y_axis) = equal_axes(&points);
            let across = frame.x(x_axis.position(x + dx)) - frame.x(x_axis.position(x));
            let up = frame.y(y_axis.position(y)) - frame.y(y_axis.position(y + dy));
            // Coordinates are rounded to the hundredth.
            prop_assert!((across * dy - up * dx).abs() <= 0.02 * (dx + dy), "{across} {up}");
            prop_assert!(across > 100.0 || up > 100.0);
        }
    }

    #[test]
    fn points_that_coincide_stand_in_the_middle() {
        for (x, y) in [(0.0, 0.0), (5.0, -3.0), (1e100, 1e-100)] {
            let svg = embedding_map(&map(vec![point(x, y)]), Colour::Group);
            let svg = svg.inline().into_string();
            assert!(svg.contains("translate(350 134)"), "{svg}");
        }
    }

    #[test]
    fn colours_without_values_are_left_out() {
        let mut map = map(vec![point(0.0, 0.0), point(1.0, 1.0)]);
        assert_eq!(Colour::of(&map), [Colour::Group]);
        map.points[0].dose = Some(0.0);
        assert_eq!(Colour::of(&map), [Colour::Group]);
        map.points[0].dose = Some(0.1);
        map.points[1].day = Day::new(8.0).unwrap();
        assert_eq!(Colour::of(&map), [Colour::Group, Colour::Dose, Colour::Day]);
    }

    #[test]
    fn doses_are_coloured_by_their_logarithm() {
        let mut points = vec![point(0.0, 0.0); 4];
        for (point, dose) in points.iter_mut().zip([0.1, 1.0, 10.0, 0.0]) {
            point.dose = Some(dose);
        }
        let svg = embedding_map(&map(points), Colour::Dose);
        let svg = svg.inline().into_string();
        for fill in ["#440154", "#21908c", "#fde725"] {
            assert_eq!(svg.matches(&format!("style=\"fill:{fill}\"")).count(), 1);
        }
        // The point without a dose and its entry in the legend.
        assert_eq!(svg.matches("marker hollow").count(), 2);
    }

    #[test]
    fn few_days_have_shapes_and_many_a_bar() {
        let on = |days: usize| {
            let points = (0..days).map(|day| MapPoint {
                day: Day::new(day as f64).unwrap(),
                ..point(day as f64, 0.0)
            });
            let svg = embedding_map(&map(points.collect()), Colour::Day);
            svg.inline().into_string()
        };
        let few = on(6);
        assert!(few.contains(">day 5</text>") && !few.contains("<rect"));
        let many = on(7);
        assert!(!many.contains(">day 5</text>") && many.contains("<rect"));
    }
}
