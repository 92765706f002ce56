//! Answers that the gateway makes itself (spec/routing-and-upstreams §8).

use crate::plugin::Answer;

/// The HTML page for a status: what users of nginx and APISIX match on is the text of title and heading.
pub fn page(status: u16) -> Answer {
    titled_page(status, &format!("{status} {}", reason(status)))
}

/// The page for a head that is too large: nginx gives it a title of its own.
pub fn head_too_large() -> Answer {
    titled_page(400, "400 Request Header Or Cookie Too Large")
}

fn titled_page(status: u16, title: &str) -> Answer {
    Answer {
        status,
        fields: (*b"Content-Type: text/html; charset=utf-8\r\n").into(),
        body: format!(
            "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
             </body>\r\n</html>\r\n"
        )
        .into_bytes()
        .into(),
    }
}

/// The answer where no route matches.
pub fn route_not_found() -> Answer {
    Answer {
        status: 404,
        fields: (*b"Content-Type: text/plain; charset=utf-8\r\n").into(),
        body: (*b"{\"error_msg\":\"404 Route Not Found\"}\n").into(),
    }
}

/// The reason phrase of a status, as nginx words it where the two differ from RFC 9110.
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Not Allowed",
        408 => "Request Time-out",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Large",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
