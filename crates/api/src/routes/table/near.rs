//! How near a request's path is to a route: the edit distance of their segments.

use mercurio_domain::hints::nearest;

/// Longer paths, and paths with more segments, get no hint: comparing costs time, and a wrong path
/// needs no key.
pub(super) const MAX_PATH_BYTES: usize = 128;
pub(super) const MAX_SEGMENTS: usize = 6;
/// Segments of lengths further apart are not compared.
const MAX_LENGTH_DIFFERENCE: usize = 8;

/// The cost of a segment that the path lacks, or has in addition. A typing error costs 1.
const MISSING_SEGMENT: usize = 3;
const ADDED_SEGMENT: usize = 4;
/// The cost of a value in place of a parameter, and of a beginning in place of a segment.
const PARAMETER: usize = 2;
const BEGINNING: usize = 2;
/// A beginning of a segment must have as many characters to count.
const MIN_BEGINNING_CHARS: usize = 4;
/// The segments of a request's path, without empty ones: a path that differs from a route by a
/// slash has the cost 0.
pub(super) struct Path<'a>(Vec<&'a str>);

impl<'a> Path<'a> {
    /// Returns `None` for a path without segments, and for one that is too long.
    pub(super) fn new(path: &'a str) -> Option<Self> {
        if path.len() > MAX_PATH_BYTES {
            return None;
        }
        let segments: Vec<_> = segments(path).take(MAX_SEGMENTS + 1).collect();
        (1..=MAX_SEGMENTS).contains(&segments.len()).then_some(Self(segments))
    }

    pub(super) fn matches(&self, route: &str) -> bool {
        let pattern: Vec<_> = segments(route).collect();
        let equal = |(segment, part): (&&str, &&str)| is_parameter(part) || segment == part;
        pattern.len() == self.0.len() && self.0.iter().zip(&pattern).all(equal)
    }

    /// Returns the cost of the changes from this path to the pattern of a route; `None` if they have
    /// no name in common.
    pub(super) fn cost_to(&self, route: &str) -> Option<usize> {
        let pattern: Vec<_> = segments(route).collect();
        let is_shared =
            |name: &&str| self.0.iter().any(|segment| name_cost(segment, name).is_some());
        let mut names = pattern.iter().filter(|part| !is_parameter(part) && !is_version(part));
        names.any(is_shared).then(|| self.edits(&pattern))
    }

    /// The edit distance of the segments.
    fn edits(&self, pattern: &[&str]) -> usize {
        let mut row: Vec<_> = (0..=pattern.len()).map(|count| count * MISSING_SEGMENT).collect();
        for segment in &self.0 {
            let mut diagonal = row[0];
            row[0] += ADDED_SEGMENT;
            for (index, part) in pattern.iter().enumerate() {
                let replaced = replacement_cost(segment, part).map(|cost| diagonal + cost);
                diagonal = row[index + 1];
                let other = (row[index] + MISSING_SEGMENT).min(diagonal + ADDED_SEGMENT);
                row[index + 1] = replaced.map_or(other, |cost| cost.min(other));
            }
        }
        row[pattern.len()]
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

fn is_parameter(part: &str) -> bool {
    part.starts_with('{')
}

/// Every path of an API begins with its version: it is no sign of a likeness.
fn is_version(part: &str) -> bool {
    part.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok())
}

fn replacement_cost(segment: &str, part: &str) -> Option<usize> {
    if is_parameter(part) { Some(PARAMETER) } else { name_cost(segment, part) }
}

/// Returns the cost of `segment` in place of `name`; `None` for another name.
fn name_cost(segment: &str, name: &str) -> Option<usize> {
    if segment == name {
        return Some(0);
    }
    if segment.len().abs_diff(name.len()) > MAX_LENGTH_DIFFERENCE {
        return None;
    }
    if nearest(segment, [name]).is_some() {
        return Some(1);
    }
    let (short, long) = if segment.len() < name.len() { (segment, name) } else { (name, segment) };
    (short.len() >= MIN_BEGINNING_CHARS && long.starts_with(short)).then_some(BEGINNING)
}
