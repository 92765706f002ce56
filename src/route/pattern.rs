//! What a route's `uri` means (spec/routing-and-upstreams §2.1, mode `radixtree_host_uri`).
//!
//! Parsed once per change; the index asks for the kind and the literal part, a request only for [`UriPattern::holds`].

use memchr::memmem;

/// One parsed `uri`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UriPattern {
    text: Box<str>,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// No `*`.
    Exact,
    /// Any path that begins with the literal part. The rest of the text does not count.
    Prefix,
    /// The first piece begins the path, the last ends it, the others stand between them in order, without overlap.
    Pieces(Box<[Box<[u8]>]>),
}

impl UriPattern {
    /// Parses a `uri` as configured. Every text has a meaning.
    ///
    /// `:` is an ordinary byte in this mode.
    pub fn new(text: &str) -> Self {
        let kind = if !text.contains('*') {
            Kind::Exact
        } else if text.split('/').any(|segment| segment.starts_with('*')) {
            in_pieces(text)
        } else {
            // A `*` inside a segment ends the pattern; what follows is ignored, as APISIX does.
            Kind::Prefix
        };
        Self { text: text.into(), kind }
    }

    /// The text as configured.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether only the literal part itself matches.
    pub fn is_exact(&self) -> bool {
        self.kind == Kind::Exact
    }

    /// Whether more is asked of a path than its literal part.
    pub fn has_pieces(&self) -> bool {
        matches!(self.kind, Kind::Pieces(_))
    }

    /// The bytes every matching path begins with: the text before the first `*`. Ranks patterns of one group.
    pub fn literal(&self) -> &[u8] {
        self.text.split('*').next().unwrap_or_default().as_bytes()
    }

    /// Whether a path that begins with the literal part (or, for an exact pattern, is it) matches the whole pattern.
    #[inline]
    pub fn holds(&self, path: &[u8]) -> bool {
        match &self.kind {
            Kind::Exact | Kind::Prefix => true,
            Kind::Pieces(pieces) => match pieces.as_ref() {
                [first, between @ .., last] => stand_in_order(path, first, between, last),
                _ => false,
            },
        }
    }
}

/// A segment that begins with `*` (`*`, `*name`) stands for any bytes, slashes included; all others are literal.
fn in_pieces(text: &str) -> Kind {
    let mut pieces: Vec<Box<[u8]>> = Vec::new();
    let mut piece = Vec::new();
    for (number, segment) in text.split('/').enumerate() {
        if number > 0 {
            piece.push(b'/');
        }
        if segment.starts_with('*') {
            pieces.push(std::mem::take(&mut piece).into());
        } else {
            piece.extend_from_slice(segment.as_bytes());
        }
    }
    let is_open = piece.is_empty();
    pieces.push(piece.into());
    // `/a/*` and `/a/*rest`: the literal part is the first piece and nothing else is asked for.
    if is_open && pieces.len() == 2 { Kind::Prefix } else { Kind::Pieces(pieces.into()) }
}

fn stand_in_order(path: &[u8], first: &[u8], between: &[Box<[u8]>], last: &[u8]) -> bool {
    let Some(mut rest) = path.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else { return false };
    // The leftmost place leaves the most for the next piece, so it never needs to be reconsidered.
    between.iter().all(|piece| match memmem::find(rest, piece) {
        Some(place) => {
            rest = rest.get(place + piece.len()..).unwrap_or_default();
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let pattern = UriPattern::new(pattern);
        let path = path.as_bytes();
        let reached = if pattern.is_exact() { pattern.literal() == path } else { path.starts_with(pattern.literal()) };
        reached && pattern.holds(path)
    }

    #[test]
    fn every_row_of_the_table() {
        let rows: &[(&str, &[&str], &[&str])] = &[
            ("/foo", &["/foo"], &["/foo/", "/fo", "/FOO", "/foobar"]),
            ("/foo*", &["/foo", "/foobar", "/foo/a"], &["/fo", "/xfoo"]),
            ("/foo/*", &["/foo/", "/foo/a/b"], &["/foo", "/foobar"]),
            ("*", &["/", "/a/b", ""], &[]),
            ("/*", &["/", "/a/b"], &[""]),
            ("/a/*/b", &["/a/x/b", "/a/x/y/b", "/a//b", "/a/b/b/b"], &["/a/b", "/a/x/bc", "/a/x/b/", "/a/x"]),
            ("/a/*name/b", &["/a/x/b"], &["/a/x/c"]),
            ("/a/*/", &["/a/x/", "/a/x/y/"], &["/a/x", "/a/"]),
            ("/a/*rest", &["/a/", "/a/x/y"], &["/a", "/b/x"]),
            ("/a/*/b/*", &["/a/x/b/", "/a/x/b/y/z"], &["/a/x/b", "/a/x/c"]),
            ("/a/*/b/*/c", &["/a/1/b/2/c", "/a/b/b/c/c", "/a/1/b/2/b/3/c"], &["/a/1/b/c", "/a/1/c", "/a/1/b/2/c/d"]),
            ("/a*b", &["/a", "/axb", "/axc", "/a/x"], &["/b"]),
            ("/a*b/c", &["/a", "/azzz"], &["/b"]),
            ("*any", &["/", "/x"], &[]),
            ("/user/:id", &["/user/:id"], &["/user/7", "/user/"]),
            ("/file:list", &["/file:list"], &["/file"]),
            ("/:v/*/x", &["/:v/1/x"], &["/v1/1/x", "/:v/x"]),
            ("/a.c/*/d", &["/a.c/1/d"], &["/abc/1/d"]),
        ];
        for (pattern, hits, misses) in rows {
            for path in *hits {
                assert!(matches(pattern, path), "{pattern} takes {path}");
            }
            for path in *misses {
                assert!(!matches(pattern, path), "{pattern} leaves {path}");
            }
        }
    }

    #[test]
    fn the_literal_part_ends_at_the_first_star() {
        for (pattern, literal) in
            [("/a", "/a"), ("/a*", "/a"), ("/a/*", "/a/"), ("/a/*/b", "/a/"), ("*", ""), ("/a*b/*/c", "/a")]
        {
            assert_eq!(UriPattern::new(pattern).literal(), literal.as_bytes(), "{pattern}");
        }
    }
}
