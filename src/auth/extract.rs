//! Where a request carries its token, and how to take it out before the request goes on.
//!
//! A parsed request and three configured names in; the token out, borrowed. The first place that is present wins,
//! even if what it holds is no token (spec/jwt-auth §3). [`locate`] runs once per request and allocates only when a
//! query argument is percent-encoded and the reused buffer grows; [`hide`] runs for `hide_credentials` alone and
//! allocates what it changes (§4). Neither panics. Bench: `auth/locate`; fuzz target: `jwt_token`.

use super::jwt::{TOKEN_BYTES_MAX, TokenError};
use crate::base::bytes::trim_ows;
use crate::http::query::{self, ArgumentError, Decoded, is_argument};
use crate::http::request::Request;
use crate::plugin::Edits;
use std::sync::Arc;

/// The names under which a route looks for a token. An empty name is found nowhere.
#[derive(Debug, Clone)]
pub struct Names {
    /// Of the header field. Compared without case; `_` also matches `-`.
    pub header: Arc<[u8]>,
    /// Of the query argument, decoded.
    pub query: Box<[u8]>,
    /// Of the cookie, to the byte.
    pub cookie: Box<[u8]>,
}

/// Where a token was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a header field.
    Header,
    /// In a query argument.
    Query,
    /// In a cookie.
    Cookie,
}

/// What was found, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located<'a> {
    /// The place.
    pub place: Place,
    /// What it holds: a token as far as anyone can say without parsing it, or what can be none.
    pub token: Result<&'a [u8], TokenError>,
}

/// Finds the token: in the header, else in the query, else in a cookie. `None` if no place is present.
pub fn locate<'a>(request: &Request<'a>, names: &Names, argument: &'a mut Vec<u8>) -> Option<Located<'a>> {
    if let Some(token) = in_header(request, &names.header) {
        return Some(Located { place: Place::Header, token: Ok(token) });
    }
    if let Some(token) = in_query(request.query, &names.query, argument) {
        return Some(Located { place: Place::Query, token });
    }
    in_cookies(request, &names.cookie).map(|token| Located { place: Place::Cookie, token: Ok(token) })
}

/// Takes the token out of what goes upstream, at `place` alone: a copy elsewhere stays.
///
/// Everything else of a query or a cookie stays to the byte and in order.
pub fn hide(request: &Request<'_>, names: &Names, place: Place, edits: &mut Edits) {
    match place {
        Place::Header => edits.remove_fields.push(Arc::clone(&names.header)),
        Place::Query => {
            let earlier = edits.query.take();
            let query = earlier.as_deref().unwrap_or(request.query);
            edits.query = Some(query_without(query, &names.query));
        }
        Place::Cookie => {
            let earlier = edits.cookie.take();
            let mut kept = Vec::new();
            match &earlier {
                Some(cookie) => keep_cookies(cookie, &names.cookie, &mut kept),
                None => cookie_lines(request).for_each(|line| keep_cookies(line, &names.cookie, &mut kept)),
            }
            edits.cookie = Some(kept);
        }
    }
}

/// What follows a leading `Bearer ` or `bearer `; `None` without it. Any other spelling is part of the token, and
/// spoils it.
pub fn without_scheme(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"Bearer ").or_else(|| value.strip_prefix(b"bearer "))
}

/// The first line called `name`, without its scheme, which is dropped whatever the field is called.
fn in_header<'a>(request: &Request<'a>, name: &[u8]) -> Option<&'a [u8]> {
    if name.is_empty() {
        return None;
    }
    let value = request.fields().find(|field| is_field_name(field.name, name))?.value;
    Some(without_scheme(value).unwrap_or(value))
}

fn is_field_name(sent: &[u8], configured: &[u8]) -> bool {
    sent.len() == configured.len()
        && sent
            .iter()
            .zip(configured)
            .all(|(sent, configured)| sent.eq_ignore_ascii_case(configured) || (*configured == b'_' && *sent == b'-'))
}

fn in_query<'a>(query: &'a [u8], name: &[u8], argument: &'a mut Vec<u8>) -> Option<Result<&'a [u8], TokenError>> {
    let value = match query::argument(query, name)? {
        Ok(value) => value,
        Err(ArgumentError::Repeated) => return Some(Err(TokenError::ArgumentRepeated)),
        Err(ArgumentError::Bare) => return Some(Err(TokenError::ArgumentBare)),
    };
    if memchr::memchr2(b'%', b'+', value).is_none() {
        return Some(Ok(value));
    }
    argument.clear();
    // One byte more than a token may have is enough for the parser to refuse it.
    argument.extend(Decoded { encoded: value }.take(TOKEN_BYTES_MAX + 1));
    Some(Ok(argument))
}

fn query_without(query: &[u8], name: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(query.len());
    for (index, pair) in query.split(|byte| *byte == b'&').filter(|pair| !is_argument(pair, name)).enumerate() {
        if index > 0 {
            kept.push(b'&');
        }
        kept.extend_from_slice(pair);
    }
    kept
}

/// The last cookie called `name`, over all lines. Its value is taken to the byte, quotes included.
fn in_cookies<'a>(request: &Request<'a>, name: &[u8]) -> Option<&'a [u8]> {
    if name.is_empty() {
        return None;
    }
    cookie_lines(request).flat_map(cookies).filter_map(|cookie| cookie_value(cookie, name)).last()
}

fn cookie_lines<'a>(request: &Request<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    request.fields().filter(|field| field.name.eq_ignore_ascii_case(b"cookie")).map(|field| field.value)
}

/// The cookies of a line or of a part of one: whatever stands between `;`, spaces and tabs.
fn cookies(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b';' | b' ' | b'\t')).filter(|cookie| !cookie.is_empty())
}

fn cookie_value<'a>(cookie: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    cookie.strip_prefix(name)?.strip_prefix(b"=")
}

/// Appends `line` without the cookies called `name`. What stands between two `;` stays to the byte, inner spaces
/// included, unless such a cookie is in it.
fn keep_cookies(line: &[u8], name: &[u8], kept: &mut Vec<u8>) {
    let append = |part: &[u8], separator: &[u8], kept: &mut Vec<u8>| {
        if !kept.is_empty() {
            kept.extend_from_slice(separator);
        }
        kept.extend_from_slice(part);
    };
    for part in line.split(|byte| *byte == b';').map(trim_ows).filter(|part| !part.is_empty()) {
        if cookies(part).all(|cookie| cookie_value(cookie, name).is_none()) {
            append(part, b"; ", kept);
            continue;
        }
        let mut separator: &[u8] = b"; ";
        for cookie in cookies(part).filter(|cookie| cookie_value(cookie, name).is_none()) {
            append(cookie, separator, kept);
            separator = b" ";
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::OwnedRequest;
    use proptest::prelude::*;

    fn names(header: &str, query: &str, cookie: &str) -> Names {
        Names { header: header.as_bytes().into(), query: query.as_bytes().into(), cookie: cookie.as_bytes().into() }
    }

    fn defaults() -> Names {
        names("authorization", "jwt", "jwt")
    }

    type Found = (Place, Result<Vec<u8>, TokenError>);

    fn find(request: &OwnedRequest, names: &Names) -> Option<Found> {
        let mut argument = b"left over".to_vec();
        locate(&request.view(), names, &mut argument).map(|located| (located.place, located.token.map(<[u8]>::to_vec)))
    }

    fn found(place: Place, token: &str) -> Found {
        (place, Ok(token.as_bytes().to_vec()))
    }

    fn get(target: &str) -> OwnedRequest {
        OwnedRequest::new("GET", target)
    }

    #[test]
    fn the_first_place_present_wins() {
        let cases = [
            ("nothing", get("/"), None),
            ("header", get("/").field("Authorization", "T"), Some(found(Place::Header, "T"))),
            (
                "header before all",
                get("/?jwt=Q").field("Cookie", "jwt=C").field("authorization", "H"),
                Some(found(Place::Header, "H")),
            ),
            ("empty header", get("/?jwt=Q").field("Authorization", ""), Some(found(Place::Header, ""))),
            (
                "basic header",
                get("/?jwt=Q").field("Authorization", "Basic eA=="),
                Some(found(Place::Header, "Basic eA==")),
            ),
            ("query before cookie", get("/?jwt=Q").field("Cookie", "jwt=C"), Some(found(Place::Query, "Q"))),
            (
                "bad query hides the cookie",
                get("/?jwt").field("Cookie", "jwt=C"),
                Some((Place::Query, Err(TokenError::ArgumentBare))),
            ),
            ("cookie", get("/?x=1").field("Cookie", "jwt=C"), Some(found(Place::Cookie, "C"))),
        ];
        for (name, request, want) in cases {
            assert_eq!(find(&request, &defaults()), want, "{name}");
        }
    }

    #[test]
    fn of_a_header_exactly_one_scheme_spelling_is_dropped() {
        let cases = [
            ("Bearer T", "T"),
            ("bearer T", "T"),
            ("Bearer", "Bearer"),
            ("BEARER T", "BEARER T"),
            ("Bearer  T", " T"),
            ("Bearer\tT", "Bearer\tT"),
            ("Bearer Bearer T", "Bearer T"),
            ("BearerT", "BearerT"),
        ];
        for (value, want) in cases {
            let request = get("/").field("Authorization", value);
            assert_eq!(find(&request, &defaults()), Some(found(Place::Header, want)), "{value:?}");
            let request = get("/").field("X-Token", value);
            assert_eq!(find(&request, &names("x-token", "jwt", "jwt")), Some(found(Place::Header, want)), "{value:?}");
        }
    }

    #[test]
    fn header_names_match_without_case_and_with_a_dash_for_an_underscore() {
        let cases = [
            ("jwt-auth-header", "Jwt-Auth-Header", true),
            ("jwt_auth_header", "JWT-Auth_Header", true),
            ("jwt-auth-header", "Jwt_Auth_Header", false),
            ("authorization", "X-Authorization", false),
            ("authorization", "Authorizatio", false),
            ("", "", false),
        ];
        for (configured, sent, want) in cases {
            let request = get("/").field(sent, "T");
            let want = want.then(|| found(Place::Header, "T"));
            assert_eq!(find(&request, &names(configured, "jwt", "jwt")), want, "{configured} for {sent}");
        }
        let twice = get("/").field("Authorization", "first").field("authorization", "second");
        assert_eq!(find(&twice, &defaults()), Some(found(Place::Header, "first")));
    }

    #[test]
    fn query_arguments_are_decoded_and_come_once() {
        let ok = |token: &str| Some(Ok(token.as_bytes().to_vec()));
        let cases = [
            ("jwt=T", ok("T")),
            ("a=1&jwt=T&b=2", ok("T")),
            ("jwt=a%2Eb%2ec", ok("a.b.c")),
            ("%6Awt=T", ok("T")),
            ("j%77%74=T", ok("T")),
            ("jwt=a=b", ok("a=b")),
            ("jwt=Bearer%20T", ok("Bearer T")),
            ("jwt=Bearer+T", ok("Bearer T")),
            ("jwt=%zz%4", ok("%zz%4")),
            ("jwt=", ok("")),
            ("jwt", Some(Err(TokenError::ArgumentBare))),
            ("jwt&jwt=T", Some(Err(TokenError::ArgumentRepeated))),
            ("jwt=T&jwt=T", Some(Err(TokenError::ArgumentRepeated))),
            ("jwt=T&%6Awt=T", Some(Err(TokenError::ArgumentRepeated))),
            ("xjwt=T", None),
            ("jwtx=T", None),
            ("JWT=T", None),
            ("j+wt=T", None),
            ("a=jwt=T", None),
            ("&&", None),
            ("=T", None),
        ];
        for (query, want) in cases {
            let got = find(&get(&format!("/?{query}")), &defaults());
            assert_eq!(got, want.map(|token| (Place::Query, token)), "{query}");
        }
        assert_eq!(find(&get("/?=T&"), &names("authorization", "", "jwt")), None, "an empty name is found nowhere");
        assert_eq!(find(&get("/?a+b=T"), &names("authorization", "a b", "jwt")), Some(found(Place::Query, "T")));
    }

    #[test]
    fn decoding_stops_where_no_token_reaches() {
        let long = format!("/?jwt=%41{}", "A".repeat(3 * TOKEN_BYTES_MAX));
        let Some((Place::Query, Ok(token))) = find(&get(&long), &defaults()) else { panic!("not found") };
        assert_eq!(token.len(), TOKEN_BYTES_MAX + 1);
    }

    #[test]
    fn of_cookies_the_last_counts() {
        let cases = [
            ("jwt=T", Some("T")),
            ("a=b; jwt=T; c=d", Some("T")),
            ("a=b;jwt=T;c=d", Some("T")),
            ("a=b jwt=T\tc=d", Some("T")),
            ("jwt=first; jwt=last", Some("last")),
            ("jwt=\"T\"", Some("\"T\"")),
            ("jwt=a%2Eb", Some("a%2Eb")),
            ("jwt=Bearer T", Some("Bearer")),
            ("jwt=", Some("")),
            ("jwt=a=b", Some("a=b")),
            ("jwt", None),
            ("xjwt=T; jwtx=T; JWT=T", None),
            ("", None),
        ];
        for (line, want) in cases {
            let request = get("/").field("Cookie", line);
            assert_eq!(find(&request, &defaults()), want.map(|token| found(Place::Cookie, token)), "{line:?}");
        }
        let lines = get("/").field("cookie", "jwt=first; a=b").field("Cookie", "jwt=second").field("Cookie", "c=d");
        assert_eq!(find(&lines, &defaults()), Some(found(Place::Cookie, "second")));
    }

    fn hidden(request: &OwnedRequest, names: &Names, place: Place) -> Edits {
        let mut edits = Edits::default();
        hide(&request.view(), names, place, &mut edits);
        edits
    }

    #[test]
    fn hiding_touches_the_place_alone() {
        let request = get("/?jwt=Q").field("Authorization", "H").field("Cookie", "jwt=C");
        let edits = hidden(&request, &defaults(), Place::Header);
        assert_eq!(edits.remove_fields, vec![Arc::from(&b"authorization"[..])]);
        assert_eq!((edits.query, edits.cookie), (None, None));
        let edits = hidden(&request, &defaults(), Place::Query);
        assert_eq!((edits.remove_fields.len(), edits.query, edits.cookie), (0, Some(Vec::new()), None));
        let edits = hidden(&request, &defaults(), Place::Cookie);
        assert_eq!((edits.remove_fields.len(), edits.query, edits.cookie), (0, None, Some(Vec::new())));
    }

    #[test]
    fn what_stays_of_a_query_stays_to_the_byte() {
        let cases = [
            ("jwt=T", ""),
            ("jwt", ""),
            ("a=1&jwt=T&b=2", "a=1&b=2"),
            ("jwt=T&a=%7e+%zz&b", "a=%7e+%zz&b"),
            ("z=1&a=2&%6Awt=T&z=3", "z=1&a=2&z=3"),
            ("jwt=a&x=1&jwt=b", "x=1"),
            ("a&&jwt=T&&b", "a&&&b"),
            ("a=1", "a=1"),
        ];
        for (query, want) in cases {
            let edits = hidden(&get(&format!("/?{query}")), &defaults(), Place::Query);
            assert_eq!(String::from_utf8(edits.query.unwrap()).unwrap(), want, "{query}");
        }
    }

    #[test]
    fn what_stays_of_cookies_stays_to_the_byte() {
        let cases = [
            ("hello=world; jwt-cookie=T; foo=bar", "hello=world; foo=bar"),
            ("a=x%20y; b.c=1; jwt-cookie=T", "a=x%20y; b.c=1"),
            ("jwt-cookie=T", ""),
            ("a=\"x y\";jwt-cookie=T;bare", "a=\"x y\"; bare"),
            ("a=1 jwt-cookie=T b=2; c=3", "a=1 b=2; c=3"),
            ("jwt-cookie=1; a=1; jwt-cookie=2", "a=1"),
            ("a=1;; ;b=2", "a=1; b=2"),
            ("jwt-cookie2=T; xjwt-cookie=T", "jwt-cookie2=T; xjwt-cookie=T"),
        ];
        let names = names("authorization", "jwt", "jwt-cookie");
        for (line, want) in cases {
            let edits = hidden(&get("/").field("Cookie", line), &names, Place::Cookie);
            assert_eq!(String::from_utf8(edits.cookie.unwrap()).unwrap(), want, "{line}");
        }
        let lines = get("/").field("Cookie", "a=1; jwt-cookie=T").field("X", "y").field("cookie", "b=2");
        assert_eq!(hidden(&lines, &names, Place::Cookie).cookie, Some(b"a=1; b=2".to_vec()));
    }

    #[test]
    fn a_second_hiding_works_on_what_the_first_left() {
        let request = get("/?a=1&b=2&c=3").field("Cookie", "a=1; b=2; c=3");
        let mut edits = Edits::default();
        for name in ["a", "b"] {
            let names = names("x", name, name);
            hide(&request.view(), &names, Place::Query, &mut edits);
            hide(&request.view(), &names, Place::Cookie, &mut edits);
        }
        assert_eq!((edits.query, edits.cookie), (Some(b"c=3".to_vec()), Some(b"c=3".to_vec())));
    }

    proptest! {
        /// Random bytes in every place are found or not, hidden, and then not found any more.
        #[test]
        fn never_panics_and_hides_what_it_finds(
            header in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
            query in "(([jwt]{0,3}|%6Awt)(=[a-z%+&=]{0,6})?&?){0,4}",
            cookie in proptest::collection::vec(
                prop_oneof![Just(b"jwt=".to_vec()), Just(b"; ".to_vec()), proptest::collection::vec(any::<u8>(), 0..6)],
                0..8,
            ),
        ) {
            let mut request = get(&format!("/?{query}")).field("Cookie", cookie.concat());
            if let Some(value) = &header {
                request = request.field("Authorization", value);
            }
            let names = defaults();
            let first = find(&request, &names);
            prop_assert_eq!(matches!(first, Some((Place::Header, _))), header.is_some());
            for place in [Place::Query, Place::Cookie] {
                let edits = hidden(&request, &names, place);
                let mut left = match edits.query {
                    Some(query) => get(&format!("/?{}", String::from_utf8(query).unwrap())),
                    None => get("/"),
                };
                if let Some(cookie) = edits.cookie {
                    left = left.field("Cookie", cookie);
                }
                prop_assert_eq!(find(&left, &names), None);
            }
        }
    }
}
