//! Strict base64url without padding (RFC 4648 §5, RFC 7515 §2): one spelling for one value.
