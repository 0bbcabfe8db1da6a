//! Keys and their text forms.

use covenant::ledger::{KeyError, SigningKey, VerifyingKey};

use crate::stage::{ORIGIN, key};

#[test]
fn a_key_is_read_back_from_its_text() {
    // Base64 has pluses too, so many keys are tried.
    for number in 0..=255 {
        let key = SigningKey::generate(ORIGIN, [number; 32]).unwrap();
        let read = SigningKey::parse(&format!("{}\n", key.to_text())).unwrap();
        assert_eq!(read.verifying(), key.verifying());
        assert_eq!(read.origin(), ORIGIN);
        let public = VerifyingKey::parse(key.verifying().to_text()).unwrap();
        assert_eq!(&public, key.verifying());
    }
}

#[test]
fn the_key_of_a_seed_is_that_of_rfc_8032() {
    let seed = data_encoding::HEXLOWER
        .decode(b"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
        .unwrap();
    let key = SigningKey::generate(ORIGIN, seed.try_into().unwrap()).unwrap();
    let text = key.verifying().to_text().to_owned();
    let public = text.splitn(3, '+').nth(2).unwrap();
    let public = data_encoding::BASE64.decode(public.as_bytes()).unwrap();
    assert_eq!(
        data_encoding::HEXLOWER.encode(&public),
        "01d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    );
}

#[test]
fn origins_that_name_no_key_or_no_file_are_refused() {
    for origin in [
        "", "a b", "a+b", "a\nb", "a/", "a/..", ".", "a/.", "\u{2003}",
    ] {
        let error = SigningKey::generate(origin, [1; 32]).unwrap_err();
        assert!(matches!(error, KeyError::Origin(_)), "{origin:?}");
    }
    SigningKey::generate("covenant", [1; 32]).unwrap();
}

#[test]
fn texts_that_are_no_keys_are_refused_and_never_shown() {
    let good = key();
    let wrong = [
        String::new(),
        "nonsense".to_owned(),
        good.verifying().to_text().to_owned(),
        good.to_text().replace("PRIVATE", "PUBLIC"),
        good.to_text().replace("cluster-1", "cluster-2"),
        good.to_text()[..good.to_text().len() - 4].to_owned(),
    ];
    for text in wrong {
        let error = SigningKey::parse(&text).unwrap_err();
        assert_eq!(error, KeyError::Signing, "{text}");
    }
    assert_eq!(
        VerifyingKey::parse(good.to_text()).unwrap_err(),
        KeyError::Verifying
    );
    let secret = good.to_text().splitn(5, '+').nth(4).unwrap().to_owned();
    assert!(!format!("{good:?}").contains(&secret));
}

#[test]
fn the_public_key_lies_beside_the_log_under_the_last_part_of_the_origin() {
    assert_eq!(key().verifying().path(), "keys/cluster-1.vkey");
}
