//! Any text is a configuration or is refused in one line; what is accepted can be served with.

use ringgate::config::parse;

pub(crate) fn holds(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let environment = |name: &str| match name {
        "PORT" => Some("9081".to_owned()),
        "HOST" => Some("127.0.0.1".to_owned()),
        _ => None,
    };
    match parse(text, &environment) {
        Ok(config) => {
            assert!(!config.listeners.is_empty() && config.worker_count() > 0);
            let limits = config.settings().limits;
            assert!(limits.fields_max > 0 && limits.request_line_bytes_max > 0 && limits.connections_max > 0);
            assert!(config.warnings.iter().all(|warning| is_line(warning)), "{:?}", config.warnings);
        }
        Err(fault) => assert!(is_line(&fault.to_string()), "{fault:?}"),
    }
}

fn is_line(text: &str) -> bool {
    !text.is_empty() && !text.contains(['\n', '\r'])
}
