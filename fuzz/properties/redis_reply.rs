//! A reply is found whole or not at all wherever the bytes are cut, and reads the same when it is written again.

use ringgate::redis::{Reply, Scanned, decode, numbers, scan};

pub(crate) fn holds(input: &[u8]) {
    let Ok(Some((reply, length))) = decode(input) else { return };
    assert!(length <= input.len());
    for cut in 0..length {
        assert_eq!(decode(&input[..cut]), Ok(None), "{cut} of {length}");
    }
    assert_eq!(scan(&input[..length]), Ok(Scanned::Whole(length)));
    assert_eq!(decode(&input[..length]), Ok(Some((reply.clone(), length))), "what follows does not matter");

    let mut written = Vec::new();
    push(&reply, &mut written);
    assert_eq!(decode(&written), Ok(Some((reply.clone(), written.len()))));
    if let Ok([first, second]) = numbers(&reply) {
        assert_eq!(reply, Reply::Array(vec![Reply::Integer(first), Reply::Integer(second)]));
    }
}

fn push(reply: &Reply, out: &mut Vec<u8>) {
    match reply {
        Reply::SimpleString(text) => out.extend([b"+", &**text, b"\r\n"].concat()),
        Reply::Error(text) => out.extend(format!("-{text}\r\n").into_bytes()),
        Reply::Integer(number) => out.extend(format!(":{number}\r\n").into_bytes()),
        Reply::BulkString(bytes) => {
            out.extend(format!("${}\r\n", bytes.len()).into_bytes());
            out.extend([bytes, &b"\r\n"[..]].concat());
        }
        Reply::Array(items) => {
            out.extend(format!("*{}\r\n", items.len()).into_bytes());
            for item in items {
                push(item, out);
            }
        }
        Reply::Null => out.extend(b"$-1\r\n"),
    }
}
