//! What counters come to, value in, value out.

use covenant::model::SecretsAnswer;
use covenant::model::encryption::secrets::{Reading, Rounds, UnreadableMetrics};
use proptest::prelude::*;

const STORED: &str = "apiserver_storage_transformation_operations_total";
const AES: &str = "k8s:enc:aescbc:v1:";
const KMS: &str = "k8s:enc:kms:v2:vault:";

/// A page that says how often each prefix was used, with lines around it that do not count.
fn page(started: &str, stored: &[(&str, u64)]) -> String {
    let mut page = String::from(
        "# HELP process_start_time_seconds Start time of the process since unix epoch in seconds.\n\
         # TYPE process_start_time_seconds gauge\n",
    );
    page.push_str(&format!("process_start_time_seconds {started}\n"));
    for (prefix, count) in stored {
        for (resource, kind, status, factor) in [
            ("secrets", "to_storage", "OK", 1),
            ("secrets", "from_storage", "OK", 7),
            ("secrets", "to_storage", "unknown-non-grpc", 5),
            ("configmaps", "to_storage", "OK", 3),
        ] {
            page.push_str(&format!(
                "{STORED}{{resource=\"{resource}\",status=\"{status}\",transformation_type=\"{kind}\",transformer_prefix=\"{prefix}\"}} {}\n",
                count * factor
            ));
        }
    }
    page
}

fn read(page: &str) -> Reading {
    Reading::read(page.lines()).unwrap()
}

/// What a course of readings comes to, each with what its counters say.
fn answer(course: &[&[(&str, u64)]]) -> Option<SecretsAnswer> {
    let mut readings = course.iter().map(|stored| read(&page("1.7e+09", stored)));
    let mut rounds = Rounds::after(readings.next().unwrap());
    let mut last = None;
    for reading in readings {
        assert_eq!(last, None, "it was settled already");
        rounds.take(reading);
        last = rounds.answer();
    }
    last
}

fn prefixes(answer: Option<SecretsAnswer>) -> Vec<String> {
    match answer {
        Some(SecretsAnswer::Encrypted { prefixes, .. }) => prefixes.into_iter().collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn three_rounds_in_which_only_encrypting_prefixes_rise_are_encryption() {
    let course: [&[_]; 4] = [
        &[],
        // The key's own name is counted beside its provider.
        &[(AES, 1), ("key-1:", 1)],
        &[(AES, 2), ("key-1:", 2)],
        &[(AES, 9), ("key-1:", 9)],
    ];
    assert_eq!(answer(&course[..3]), None);
    assert_eq!(prefixes(answer(&course)), [AES]);
}

#[test]
fn a_server_that_counts_nothing_has_no_configuration() {
    let none: &[(&str, u64)] = &[];
    assert_eq!(answer(&[none, none, none]), None);
    assert_eq!(answer(&[none; 4]), Some(SecretsAnswer::Unconfigured));
}

#[test]
fn plain_text_in_every_round_is_plain_whatever_else_is_stored_meanwhile() {
    for plain in ["", "identity"] {
        let stored = [0, 1, 2, 3].map(|count| [(plain, count + 4), (AES, 2 * count)]);
        let course: Vec<&[(&str, u64)]> = stored.iter().map(|stored| &stored[..]).collect();
        assert_eq!(answer(&course), Some(SecretsAnswer::Plain));
    }
}

#[test]
fn plain_text_in_one_round_keeps_a_try_from_being_called_encryption() {
    let course: [&[_]; 5] = [
        &[("", 5), (AES, 5)],
        &[("", 6), (AES, 6)],
        &[("", 6), (AES, 7)],
        &[("", 6), (AES, 8)],
        &[("", 6), (AES, 9)],
    ];
    assert_eq!(answer(&course), Some(SecretsAnswer::Interfered));
}

#[test]
fn a_try_that_never_settles_ends_and_is_no_encryption() {
    let (mut plain, mut sealed) = (0, 0);
    let mut stored = vec![[("", 0), (AES, 0)]];
    for round in 0..9 {
        plain += u64::from(round % 2 == 0);
        sealed += u64::from(round % 2 == 1);
        stored.push([("", plain), (AES, sealed)]);
    }
    let course: Vec<&[(&str, u64)]> = stored.iter().map(|stored| &stored[..]).collect();
    assert_eq!(answer(&course), Some(SecretsAnswer::Interfered));
}

#[test]
fn counters_that_do_not_move_or_go_back_or_are_another_process_say_nothing() {
    let still: &[_] = &[(AES, 4)];
    let odd = |answer| matches!(answer, Some(SecretsAnswer::Odd(_)));
    assert!(odd(answer(&[still; 4])));
    assert!(odd(answer(&[
        &[(AES, 9)],
        &[(AES, 8)],
        &[(AES, 7)],
        &[(AES, 6)]
    ])));
    // A name of a key alone says nothing: it may be called anything.
    assert!(odd(answer(&[
        &[("key-1:", 1)],
        &[("key-1:", 2)],
        &[("key-1:", 3)],
        &[("key-1:", 4)]
    ])));
    let mut rounds = Rounds::after(read(&page("1", &[(AES, 1)])));
    for count in 2..5 {
        rounds.take(read(&page(&count.to_string(), &[(AES, count)])));
    }
    assert!(odd(rounds.answer()));
}

#[test]
fn the_key_that_was_used_and_the_configuration_are_told_where_the_server_tells_them() {
    let kms = |count: u64| {
        let mut page = page("1.7e+09", &[(KMS, count)]);
        for (kind, hash, count) in [
            ("to_storage", "sha256:new", count),
            ("to_storage", "sha256:old", 40),
            ("from_storage", "sha256:read", count),
        ] {
            page.push_str(&format!(
                "apiserver_envelope_encryption_key_id_hash_total{{apiserver_id_hash=\"sha256:a\",key_id_hash=\"{hash}\",provider_name=\"vault\",transformation_type=\"{kind}\"}} {count}\n"
            ));
        }
        page.push_str("apiserver_encryption_config_controller_last_config_info{apiserver_id_hash=\"sha256:a\",hash=\"sha256:c\"} 1\n");
        read(&page)
    };
    let mut rounds = Rounds::after(kms(1));
    for count in 2..5 {
        rounds.take(kms(count));
    }
    let expected = SecretsAnswer::Encrypted {
        prefixes: [KMS.to_owned()].into(),
        keys: ["sha256:new".to_owned()].into(),
        configuration: Some("sha256:c".to_owned()),
    };
    assert_eq!(rounds.answer(), Some(expected));
}

#[test]
fn how_other_kinds_are_stored_and_what_is_read_or_failed_says_nothing_of_secrets() {
    for series in [
        "resource=\"configmaps\",status=\"OK\",transformation_type=\"to_storage\"",
        "resource=\"secrets.example.com\",status=\"OK\",transformation_type=\"to_storage\"",
        "resource=\"secrets\",status=\"OK\",transformation_type=\"from_storage\"",
        "resource=\"secrets\",status=\"Unavailable\",transformation_type=\"to_storage\"",
    ] {
        let other = |count: u64| {
            let line = format!("{STORED}{{{series},transformer_prefix=\"{AES}\"}} {count}\n");
            read(&(page("1", &[]) + &line))
        };
        let mut rounds = Rounds::after(other(1));
        for count in 2..5 {
            rounds.take(other(count));
        }
        assert_eq!(
            rounds.answer(),
            Some(SecretsAnswer::Unconfigured),
            "{series}"
        );
    }
}

#[test]
fn a_page_that_is_not_an_api_servers_is_not_taken_for_one_that_counts_nothing() {
    let unread = |page: &str| Reading::read(page.lines()).unwrap_err();
    assert_eq!(unread(""), UnreadableMetrics::NotAServers);
    assert_eq!(
        unread("<html>sign in</html>"),
        UnreadableMetrics::NotAServers
    );
    for broken in [
        "{resource=\"secrets\" 1",
        "{resource=\"secrets} 1",
        "{resource=secrets} 1",
        "{resource=\"secrets\"}",
        "{resource=\"secrets\"} 1 2 3",
        "{resource=\"secrets\\x\"} 1",
        "{resource=\"a\"status=\"b\"} 1",
    ] {
        let page = format!("{STORED}{broken}\n{}", page("1", &[]));
        let told = unread(&page);
        assert!(matches!(told, UnreadableMetrics::Line(_)), "{broken}");
    }
    for count in ["NaN", "-1", "+Inf", "1.5", "1e300", "many"] {
        let line = page("1", &[(AES, 1)]).replace("\"} 1\n", &format!("\"}} {count}\n"));
        assert!(
            matches!(unread(&line), UnreadableMetrics::Count(_)),
            "{count}"
        );
    }
}

#[test]
fn large_counts_are_read_as_servers_print_them() {
    let large = |count: &str| {
        let page = page("1", &[(AES, 1)]).replace("\"} 1\n", &format!("\"}} {count}\n"));
        read(&page)
    };
    let mut rounds = Rounds::after(large("1.234567e+06"));
    for count in ["1.234568e+06", "1234569", "1.23457e+06 1700000000000"] {
        rounds.take(large(count));
    }
    assert_eq!(prefixes(rounds.answer()), [AES]);
}

/// One step of a server's counters: canaries go by `canary`, and others' writes by whatever they go by.
fn others() -> impl Strategy<Value = Vec<[u64; 3]>> {
    proptest::collection::vec([0..3_u64, 0..3_u64, 0..3_u64], 9)
}

proptest! {
    #[test]
    fn what_a_server_stores_as_it_is_is_never_called_encrypted(writes in others()) {
        let mut counts = [0_u64; 3];
        let of = |counts: &[u64; 3]| read(&page("1", &[("", counts[0]), (AES, counts[1]), (KMS, counts[2])]));
        let mut rounds = Rounds::after(of(&counts));
        for step in writes {
            counts = [counts[0] + step[0] + 1, counts[1] + step[1], counts[2] + step[2]];
            rounds.take(of(&counts));
        }
        prop_assert_eq!(rounds.answer(), Some(SecretsAnswer::Plain));
    }

    #[test]
    fn no_line_makes_the_reader_fall_over(line in "\\PC*", rest in "[ -~]{0,60}") {
        let _ = Reading::read([line.as_str(), format!("{STORED}{rest}").as_str()]);
    }
}
