//! Every form in which OpenSSL writes a key reads as the same key; what is no key is told apart, and never panics
//! (spec/jwt-auth §7.2).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test reports")]

#[path = "support/keys.rs"]
mod keys;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keys::{Kind, coordinate_bytes, sign, text};
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{Asn1Flag, EcGroup, EcKey, PointConversionForm};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::symm::Cipher;
use openssl::x509::{X509Builder, X509NameBuilder};
use proptest::prelude::*;
use ringgate::auth::jwt::algorithm::Curve;
use ringgate::auth::jwt::key::{PrivateKey, RsaPublicKey};
use ringgate::auth::jwt::{Algorithm, KeyFault, PublicKey, VerifyingKey};
use serde_json::{Value, json};

/// The key in OpenSSL's own numbers, and as a JWK.
fn numbers(kind: Kind) -> (PublicKey, Value) {
    let (key, encode) = (kind.key(), |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes));
    match kind {
        Kind::P256 | Kind::P384 | Kind::P521 => {
            let curve = match kind {
                Kind::P256 => Curve::P256,
                Kind::P384 => Curve::P384,
                _ => Curve::P521,
            };
            let bytes = coordinate_bytes(key);
            let (ec, mut context) = (key.ec_key().unwrap(), BigNumContext::new().unwrap());
            let form = PointConversionForm::UNCOMPRESSED;
            let point = ec.public_key().to_bytes(ec.group(), form, &mut context).unwrap();
            let (x, y) = point[1..].split_at(bytes);
            let jwk = json!({"kty": "EC", "crv": curve.name(), "x": encode(x), "y": encode(y)});
            (PublicKey::Ec { curve, point: point.into() }, jwk)
        }
        Kind::Ed25519 | Kind::Ed448 => {
            let point = key.raw_public_key().unwrap();
            let jwk = json!({"kty": "OKP", "crv": format!("{kind:?}"), "x": encode(&point)});
            let point = point.into();
            (if kind == Kind::Ed25519 { PublicKey::Ed25519(point) } else { PublicKey::Ed448(point) }, jwk)
        }
        _ => {
            let (n, e) = (key.rsa().unwrap().n().to_vec(), key.rsa().unwrap().e().to_vec());
            let jwk = json!({"kty": "RSA", "n": encode(&n), "e": encode(&e), "use": "sig", "key_ops": ["verify"]});
            (PublicKey::Rsa(RsaPublicKey { modulus: n.into(), exponent: e.into() }), jwk)
        }
    }
}

/// Each form in PEM: its label, and whether it holds the private key.
fn pems(kind: Kind) -> Vec<(&'static str, String, bool)> {
    let mut pems = vec![("PUBLIC KEY", kind.public_pem(), false), ("PRIVATE KEY", kind.private_pem(), true)];
    if let Ok(rsa) = kind.key().rsa() {
        pems.push(("RSA PUBLIC KEY", text(rsa.public_key_to_pem_pkcs1()), false));
        pems.push(("RSA PRIVATE KEY", text(rsa.private_key_to_pem()), true));
    }
    if let Ok(ec) = kind.key().ec_key() {
        pems.push(("EC PRIVATE KEY", text(ec.private_key_to_pem()), true));
    }
    for (label, pem, _) in &pems {
        assert!(pem.starts_with(&format!("-----BEGIN {label}-----\n")), "{pem}");
    }
    pems
}

fn usable() -> Vec<Kind> {
    Kind::ALL.into_iter().filter(|kind| *kind != Kind::Secp256k1).collect()
}

fn body(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with("-----")).collect()
}

fn der(pem: &str) -> Vec<u8> {
    STANDARD.decode(body(pem)).unwrap()
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> = body.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[test]
fn every_form_reads_as_the_same_key() {
    for kind in usable() {
        let (want, jwk) = numbers(kind);
        for (label, pem, is_private) in pems(kind) {
            for text in [pem.clone(), pem.trim_end().to_owned(), pem.replace('\n', "\r\n"), format!("\n {pem}")] {
                assert_eq!(PublicKey::parse(&text), Ok(want.clone()), "{kind:?} {label}\n{text:?}");
            }
            let one_line = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", body(&pem));
            assert_eq!(PublicKey::parse(&one_line), Ok(want.clone()), "{kind:?} {label} in one line");
            let behind_text = format!("the key of {kind:?}:\n{pem}and more text\n");
            assert_eq!(PublicKey::parse(&behind_text), Ok(want.clone()), "{kind:?} {label} among text");
            assert_eq!(PrivateKey::parse(&pem).is_ok(), is_private, "{kind:?} {label}");
        }
        for text in [jwk.to_string(), format!("\r\n {jwk:#}\n")] {
            assert_eq!(PublicKey::parse(&text), Ok(want.clone()), "{text}");
        }
    }
}

/// `openssl ecparam -genkey` writes the curve's parameters before the key.
#[test]
fn parameters_may_stand_before_the_key() {
    for (kind, oid) in [
        (Kind::P256, &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7][..]),
        (Kind::P384, &[6, 5, 0x2b, 0x81, 4, 0, 0x22]),
        (Kind::P521, &[6, 5, 0x2b, 0x81, 4, 0, 0x23]),
    ] {
        let key = text(kind.key().ec_key().unwrap().private_key_to_pem());
        let whole = pem("EC PARAMETERS", oid) + &key;
        assert_eq!(PublicKey::parse(&whole), Ok(numbers(kind).0), "{kind:?}");
        assert!(matches!(PublicKey::parse(&pem("EC PARAMETERS", oid)), Err(KeyFault::Label(_))), "{kind:?}");
    }
}

#[test]
fn what_cannot_be_used_is_told_apart() {
    let encrypted = Kind::P256.key().private_key_to_pem_pkcs8_passphrase(Cipher::aes_128_cbc(), b"open sesame");
    let legacy = Kind::Rsa1024.key().rsa().unwrap();
    let legacy = legacy.private_key_to_pem_passphrase(Cipher::aes_128_cbc(), b"open sesame");
    let explicit = {
        let mut group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        group.set_asn1_flag(Asn1Flag::EXPLICIT_CURVE);
        PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap().public_key_to_pem()
    };
    let compressed = {
        // The lengths of the whole and of the bit string shrink by a coordinate; the point starts with its parity.
        let mut spki = der(&Kind::P256.public_pem());
        let parity = spki.pop().unwrap() & 1;
        spki.truncate(27 + 32);
        (spki[1], spki[24], spki[26]) = (spki[1] - 32, spki[24] - 32, 2 | parity);
        assert!(PKey::public_key_from_der(&spki).is_ok(), "OpenSSL reads it");
        pem("PUBLIC KEY", &spki)
    };
    let cases = [
        ("encrypted", text(encrypted), KeyFault::Label("it is encrypted")),
        ("encrypted, the old way", text(legacy), KeyFault::Label("it is encrypted")),
        ("a certificate", certificate(), KeyFault::Label("a certificate")),
        ("a compressed point", compressed, KeyFault::Unsupported("compressed points")),
        ("explicit parameters", text(explicit), KeyFault::Unsupported("a curve without a name")),
        (
            "Bitcoin's curve",
            Kind::Secp256k1.public_pem(),
            KeyFault::Unsupported("a curve other than P-256, P-384 and P-521"),
        ),
        (
            "a key to agree on keys",
            text(PKey::generate_x25519().unwrap().public_key_to_pem()),
            KeyFault::Unsupported("neither RSA, EC, Ed25519 nor Ed448"),
        ),
        ("another label", pem("DH PARAMETERS", &[0x30, 0]), KeyFault::Label("expected PUBLIC KEY")),
        ("nothing", String::new(), KeyFault::NotPem),
        ("text", "secret".into(), KeyFault::NotPem),
        ("a body alone", body(&Kind::P256.public_pem()), KeyFault::NotPem),
    ];
    for (name, text, want) in cases {
        assert_eq!(PublicKey::parse(&text), Err(want), "{name}\n{text}");
        assert!(!want.to_string().contains("sesame"));
    }
}

/// A document under another document's label is none, unless both labels name what holds the same.
#[test]
fn labels_tell_what_is_inside() {
    let labels = ["PUBLIC KEY", "RSA PUBLIC KEY", "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
    for kind in usable() {
        for (own, text, _) in pems(kind) {
            for label in labels.into_iter().filter(|label| *label != own) {
                let fault = PublicKey::parse(&pem(label, &der(&text)));
                assert!(matches!(fault, Err(KeyFault::Der(_))), "{kind:?} {own} as {label}: {fault:?}");
            }
        }
    }
}

#[test]
fn a_document_is_whole_and_alone() {
    for kind in usable() {
        for (label, text, _) in pems(kind) {
            let der = der(&text);
            for cut in 0..der.len() {
                assert!(PublicKey::parse(&pem(label, &der[..cut])).is_err(), "{kind:?} {label} cut to {cut}");
            }
            assert!(PublicKey::parse(&pem(label, &[&der[..], &[0]].concat())).is_err(), "{kind:?} {label} and a byte");
        }
    }
}

#[test]
fn jwks_say_what_they_are_for_and_all_of_it() {
    let (_, rsa) = numbers(Kind::Rsa2048);
    let (_, ec) = numbers(Kind::P256);
    let (_, okp) = numbers(Kind::Ed25519);
    let with = |jwk: &Value, name: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        PublicKey::parse(&jwk.to_string())
    };
    for (jwk, members) in [(&rsa, &["n", "e"][..]), (&ec, &["x", "y", "crv"]), (&okp, &["x", "crv"])] {
        for member in members.iter().chain(&["kty"]) {
            for value in [Value::Null, json!(5), json!(["AQAB"])] {
                assert!(matches!(with(jwk, member, value), Err(KeyFault::Jwk(_))), "{member} of {jwk}");
            }
        }
        for member in members.iter().filter(|member| **member != "crv") {
            let digits = jwk[*member].as_str().unwrap();
            for other in [format!("{digits}="), format!("{digits} "), format!("+{}", &digits[1..])] {
                assert!(matches!(with(jwk, member, other.into()), Err(KeyFault::Jwk(_))), "{member} of {jwk}");
            }
        }
        for usage in [json!("enc"), json!(""), json!(null), json!(["sig"])] {
            assert!(matches!(with(jwk, "use", usage), Err(KeyFault::Jwk(_))), "{jwk}");
        }
        for operations in [json!([]), json!(["sign"]), json!("verify"), json!(null)] {
            assert!(matches!(with(jwk, "key_ops", operations), Err(KeyFault::Jwk(_))), "{jwk}");
        }
        for kty in ["oct", "rsa", ""] {
            assert!(matches!(with(jwk, "kty", kty.into()), Err(KeyFault::Unsupported(_))), "{jwk}");
        }
    }
    for curve in ["P-256K", "secp256k1", "p-256", "X25519"] {
        assert!(matches!(with(&ec, "crv", curve.into()), Err(KeyFault::Unsupported(_))), "{curve}");
        assert!(matches!(with(&okp, "crv", curve.into()), Err(KeyFault::Unsupported(_))), "{curve}");
    }
    let long = URL_SAFE_NO_PAD.encode([1; 33]);
    assert_eq!(with(&ec, "x", long.clone().into()), Err(KeyFault::Invalid("P-256")));
    assert_eq!(with(&okp, "x", long.into()), Err(KeyFault::Invalid("Ed25519")));
    for text in ["{", "{}", "{\"kty\":\"RSA\"", "{\"keys\":[]}"] {
        assert!(matches!(PublicKey::parse(text), Err(KeyFault::Jwk(_))), "{text}");
    }
}

/// Points beside the curve are found when the key is prepared, or verify nothing.
#[test]
fn points_lie_on_their_curve() {
    for kind in [Kind::P256, Kind::P384, Kind::P521, Kind::Ed25519, Kind::Ed448] {
        let algorithm = kind.algorithms()[0];
        let signature = sign(algorithm, kind.key(), b"message");
        let (key, _) = numbers(kind);
        let (PublicKey::Ec { point, .. } | PublicKey::Ed25519(point) | PublicKey::Ed448(point)) = &key else {
            panic!()
        };
        for at in 1..point.len() {
            let mut point = point.clone();
            point[at] ^= 0x10;
            let other = match &key {
                PublicKey::Ec { curve, .. } => PublicKey::Ec { curve: *curve, point },
                PublicKey::Ed25519(_) => PublicKey::Ed25519(point),
                _ => PublicKey::Ed448(point),
            };
            let prepared = VerifyingKey::public(algorithm, other);
            assert!(prepared.is_err() || !prepared.unwrap().verify(b"message", &signature), "{kind:?}: byte {at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// However a text is damaged, it is told what is wrong, or is a key; another key verifies nothing of this one's.
    #[test]
    fn damaged_keys_never_panic_and_never_verify(
        kind in proptest::sample::select(usable()),
        form in any::<proptest::sample::Index>(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::weighted(0.3, any::<proptest::sample::Index>()),
        in_der in any::<bool>(),
    ) {
        let (want, jwk) = numbers(kind);
        let mut texts = pems(kind);
        texts.push(("", jwk.to_string(), false));
        let (label, text, _) = form.get(&texts);
        let in_der = in_der && !label.is_empty();
        let mut bytes = if in_der { der(text) } else { text.clone().into_bytes() };
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = if in_der { byte } else { byte & 0x7f };
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        let damaged = if in_der { pem(label, &bytes) } else { String::from_utf8(bytes).unwrap() };
        let _ = PrivateKey::parse(&damaged);
        let Ok(key) = PublicKey::parse(&damaged) else { return Ok(()) };
        for algorithm in Algorithm::ALL {
            let is_own = kind.algorithms().contains(&algorithm) && (kind, algorithm) != (Kind::Rsa1024, Algorithm::Ps512)
                && (kind != Kind::Rsa512 || algorithm == Algorithm::Rs256);
            if let (Ok(prepared), true) = (VerifyingKey::public(algorithm, key.clone()), is_own) {
                let signature = sign(algorithm, kind.key(), b"message");
                prop_assert_eq!(prepared.verify(b"message", &signature), key == want, "{}", damaged);
            }
        }
    }

    #[test]
    fn any_text_is_read_without_panic(text in any::<String>(), label in "[A-Z ]{0,12}", der in any::<Vec<u8>>()) {
        let armoured = pem(&label, &der);
        for text in [text.as_str(), &armoured, &pem("PUBLIC KEY", &der), &format!("{{{text}")] {
            prop_assert!(PublicKey::parse(text).is_err() && PrivateKey::parse(text).is_err());
        }
    }
}

fn certificate() -> String {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "jack").unwrap();
    let name = name.build();
    let mut builder = X509Builder::new().unwrap();
    let serial = BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    builder.set_pubkey(Kind::P256.key()).unwrap();
    builder.sign(Kind::P256.key(), MessageDigest::sha256()).unwrap();
    text(builder.build().to_pem())
}
