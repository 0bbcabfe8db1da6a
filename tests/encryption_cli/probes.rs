//! What a probe sees of servers of every sort.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Output;

use serde_json::{Value, json};

use crate::servers::{
    Authority, BOTH, NAME, ONLY_12, ONLY_13, Server, answers, end, request, self_signed, talk,
};
use crate::{as_json, covenant, exits, fails};

/// Probes a server under [`NAME`], trusting the authority.
fn probe(server: &Server, authority: &Authority, more: &[&str]) -> Output {
    let ca = authority.file().display().to_string();
    let address = server.text();
    let mut arguments = vec!["probe", &address, "--ca", &ca];
    if !more.contains(&"--server-name") {
        arguments.extend(["--server-name", NAME]);
    }
    // Servers here may be slow, and only silence is waited for to the end.
    if !more.contains(&"--timeout") {
        arguments.extend(["--timeout", "60"]);
    }
    arguments.extend(more);
    covenant(&arguments)
}

#[track_caller]
fn seen(code: i32, output: &Output) -> Value {
    let report = as_json(&exits(code, output));
    assert_eq!(report["apiVersion"], "cli.privacy.cloudnexus.io/v1");
    assert_eq!(report["kind"], "EncryptionProbe");
    report["probes"][0].clone()
}

#[test]
fn a_server_of_tls_1_3_alone_with_a_valid_certificate_passes() {
    let authority = Authority::new();
    let server = Server::tls(authority.config(ONLY_13));
    let found = seen(0, &probe(&server, &authority, &["-o", "json"]));
    assert_eq!(found["offers"], "Tls13Only");
    assert_eq!(found["result"], "Passed");
    assert_eq!(
        found["reason"],
        "TLS 1.2 is refused by alert protocol_version"
    );
    assert_eq!(found["connectedTo"], server.text());
    assert_eq!(found["serverName"], NAME);
    assert_eq!(found["negotiated"]["version"], "TLS 1.3");
    let suite = found["negotiated"]["cipherSuite"].as_str().unwrap();
    assert!(suite.starts_with("TLS13_"), "{suite}");
    let certificate = &found["certificate"];
    assert_eq!(certificate["trust"], "Valid");
    assert_eq!(certificate["subject"], "CN=a server");
    assert_eq!(certificate["issuer"], "CN=an authority");
    assert_eq!(certificate["names"], json!([NAME]));
    assert!(certificate["daysLeft"].as_i64() > Some(0), "{certificate}");
    assert_eq!(server.connections(), 2, "a handshake each, and no more");

    let text = exits(0, &probe(&server, &authority, &[]));
    let first = text.lines().next().unwrap();
    assert_eq!(first, format!("{}: TLS 1.3 only", server.text()));
    assert!(!text.contains('\u{1b}'), "a pipe gets no colours: {text}");
}

#[test]
fn a_server_that_takes_less_than_tls_1_3_fails() {
    let authority = Authority::new();
    let both = Server::tls(authority.config(BOTH));
    let found = seen(1, &probe(&both, &authority, &["-o", "json"]));
    assert_eq!(found["offers"], "Tls13AndTls12");
    assert_eq!(found["negotiated"]["version"], "TLS 1.3");
    assert_eq!(found["negotiatedByTls12Alone"]["version"], "TLS 1.2");
    assert_eq!(found["certificate"]["trust"], "Valid");
    assert_eq!(found["result"], "Failed");

    let old = Server::tls(authority.config(ONLY_12));
    let found = seen(1, &probe(&old, &authority, &["-o", "json"]));
    assert_eq!(found["offers"], "Tls12Only");
    assert_eq!(found["negotiated"]["version"], "TLS 1.2");
    assert_eq!(found["certificate"]["trust"], "Valid");
    assert_eq!(found["result"], "Failed");
    assert_eq!(old.connections(), 1);
}

#[test]
fn what_a_server_takes_is_seen_also_where_it_asks_for_a_certificate_of_the_client() {
    let authority = Authority::new();
    for (versions, code, offers) in [
        (ONLY_13, 0, "Tls13Only"),
        (BOTH, 1, "Tls13AndTls12"),
        (ONLY_12, 1, "Tls12Only"),
    ] {
        let server = Server::tls(authority.config_for_known_clients(versions));
        let found = seen(code, &probe(&server, &authority, &["-o", "json"]));
        assert_eq!(found["offers"], offers, "{found}");
        assert_eq!(found["certificate"]["trust"], "Valid", "{found}");
    }
}

#[test]
fn a_certificate_that_is_not_valid_fails_with_its_reason() {
    let authority = Authority::new();
    let judged = |config, more: &[&str], code| {
        let server = Server::tls(config);
        let mut arguments = vec!["-o", "json"];
        arguments.extend(more);
        let found = seen(code, &probe(&server, &authority, &arguments));
        assert_eq!(found["offers"], "Tls13Only", "{found}");
        found["certificate"].clone()
    };
    let mut expired = request(&[NAME]);
    expired.not_before = rcgen::date_time_ymd(2019, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let found = judged(authority.config_with(ONLY_13, expired), &[], 1);
    assert_eq!(found["problem"], "it has expired");
    assert_eq!(found["notAfter"], "2020-01-01T00:00:00Z");
    assert!(found["daysLeft"].as_i64() < Some(-365), "{found}");

    let mut early = request(&[NAME]);
    early.not_before = rcgen::date_time_ymd(2190, 1, 1);
    let found = judged(authority.config_with(ONLY_13, early), &[], 1);
    assert_eq!(found["problem"], "its time has not come");

    let other = request(&["other.acme.example"]);
    let found = judged(authority.config_with(ONLY_13, other), &[], 1);
    assert_eq!(found["problem"], "it is for other names");
    assert_eq!(found["names"], json!(["other.acme.example"]));

    let found = judged(self_signed(), &[], 1);
    assert_eq!(found["problem"], "none of them vouches for it");
    assert_eq!(found["issuer"], "itself (CN=a server)");
    // An authority of the same name, with another key.
    let found = judged(Authority::new().config(ONLY_13), &[], 1);
    let words = "it is not signed by whom it names as its issuer";
    assert_eq!(found["problem"], words);

    // An address is judged as an address, and is not sent.
    let address = request(&["127.0.0.1", "::1"]);
    let by_address = ["--server-name", "127.0.0.1"];
    let found = judged(authority.config_with(ONLY_13, address), &by_address, 0);
    assert_eq!(found["names"], json!(["127.0.0.1", "::1"]));
}

#[test]
fn without_ca_the_systems_roots_judge() {
    let authority = Authority::new();
    let server = Server::tls(authority.config(ONLY_13));
    let address = server.text();
    let arguments = ["probe", &address, "--server-name", NAME, "-o", "json"];
    let found = seen(1, &covenant(&arguments));
    assert_ne!(found["certificate"]["trust"], "Valid");
    assert_eq!(found["certificate"]["roots"], "the roots of this system");
}

#[test]
fn plain_text_is_told_from_silence_and_both_from_nothing() {
    let authority = Authority::new();
    let judged = |server: &Server, timeout: &str| {
        let output = probe(server, &authority, &["-o", "json", "--timeout", timeout]);
        let found = seen(1, &output);
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        (text("offers"), text("reason"), text("result"))
    };
    let is = |found: &(String, String, String), offers: &str, words: &str, result: &str| {
        assert_eq!(
            (found.0.as_str(), found.2.as_str()),
            (offers, result),
            "{found:?}"
        );
        assert!(found.1.contains(words), "{found:?}");
    };

    let http = answers(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    let words = "plain HTTP: HTTP/1.1 400 Bad Request";
    is(&judged(&http, "60"), "NoTls", words, "Failed");
    assert_eq!(http.connections(), 1);

    // It waits for the end of a line, which no handshake has.
    let patient = Server::new(|mut stream| {
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1)
        {
            request.push(byte[0]);
        }
        if request.starts_with(b"HEAD / HTTP/1.1\r\nHost: server.acme.example\r\n") {
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n");
        }
        end(stream);
    });
    is(
        &judged(&patient, "5"),
        "NoTls",
        "plain HTTP: HTTP/1.0 200 OK",
        "Failed",
    );

    let greets = Server::new(|mut stream| {
        let _ = stream.write_all(b"SSH-2.0-x\x1b[31m\r\n");
        end(stream);
    });
    let found = judged(&greets, "60");
    is(
        &found,
        "NoTls",
        "something that is not TLS: SSH-2.0-x",
        "Failed",
    );

    let silent = Server::new(|mut stream| {
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    is(
        &judged(&silent, "1"),
        "NoAnswer",
        "nothing was said in time",
        "Unknown",
    );
    let closes = Server::new(drop);
    let words = "closed without an answer";
    is(&judged(&closes, "60"), "NoAnswer", words, "Unknown");
    assert_eq!(
        closes.connections(),
        2,
        "one handshake, one request in plain HTTP"
    );

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = taken.local_addr().unwrap();
    drop(taken);
    let output = covenant(&["probe", &free.to_string(), "-o", "json"]);
    let found = seen(1, &output);
    assert_eq!(found["offers"], "Unreachable");
    let reason = found["reason"].as_str().unwrap();
    assert!(reason.contains("refused"), "{reason}");

    let output = covenant(&["probe", "nowhere.invalid", "--timeout", "3", "-o", "json"]);
    let found = seen(1, &output);
    assert_eq!(found["offers"], "Unreachable");
    let reason = found["reason"].as_str().unwrap();
    assert!(reason.contains("its name"), "{reason}");
}

#[test]
fn what_answers_and_shakes_no_hands_is_no_tls_1_3() {
    let authority = Authority::new();
    let judged = |server: &Server| {
        let output = probe(server, &authority, &["-o", "json"]);
        let found = seen(1, &output);
        (found["offers"].clone(), found["reason"].to_string())
    };
    let (offers, reason) = judged(&answers(b"\x15\x03\x03\x00\x02\x02\x28"));
    assert_eq!(offers, "Refused");
    assert!(reason.contains("alert handshake_failure"), "{reason}");
    let (offers, _) = judged(&answers(b"\x15\x03\x01\x00\x02\x02\x46"));
    assert_eq!(offers, "Older");
    // A ServerHello of TLS 1.1.
    let mut hello = b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02".to_vec();
    hello.extend([7; 32]);
    hello.extend(b"\x00\xc0\x13\x00");
    let (offers, reason) = judged(&answers(hello.leak()));
    assert_eq!(offers, "Older", "{reason}");
    let (offers, reason) = judged(&answers(b"\x16\x03\x03\x00\x04\xff\xff\xff\xff"));
    assert_eq!(offers, "Refused", "{reason}");
    // It takes no end.
    let endless = Server::new(|mut stream| {
        let record: Vec<u8> = [&b"\x16\x03\x03\x40\x00"[..], &[0; 0x4000]].concat();
        while stream.write_all(&record).is_ok() {}
    });
    let (offers, reason) = judged(&endless);
    assert_eq!(offers, "Refused", "{reason}");
}

#[test]
fn tls_1_2_counts_as_refused_only_where_an_alert_said_so() {
    let authority = Authority::new();
    // What is said to the second of two handshakes, which offers TLS 1.2 alone.
    let judged = |second: &'static [u8]| {
        let config = authority.config(ONLY_13);
        let count = std::sync::atomic::AtomicUsize::new(0);
        let server = Server::new(move |mut stream| {
            if count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                return talk(&config, stream);
            }
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(second);
            end(stream);
        });
        let code = i32::from(second != b"\x15\x03\x03\x00\x02\x02\x46");
        let found = seen(code, &probe(&server, &authority, &["-o", "json"]));
        assert_eq!(server.connections(), 2);
        (found["offers"].clone(), found["reason"].to_string())
    };
    let (offers, _) = judged(b"\x15\x03\x03\x00\x02\x02\x46");
    assert_eq!(offers, "Tls13Only");
    let (offers, reason) = judged(b"\x15\x03\x03\x00\x02\x02\x28");
    assert_eq!(offers, "Tls13");
    assert!(reason.contains("no cipher suite in common"), "{reason}");
    let (offers, reason) = judged(b"");
    assert_eq!(offers, "Tls13");
    assert!(reason.contains("closed without an answer"), "{reason}");
}

#[test]
fn many_servers_are_told_in_the_order_in_which_they_were_named() {
    let authority = Authority::new();
    let servers: Vec<Server> = (0..20)
        .map(|_| Server::tls(authority.config(ONLY_13)))
        .collect();
    let addresses: Vec<String> = servers.iter().map(Server::text).collect();
    let ca = authority.file().display().to_string();
    let mut arguments = vec!["probe", "--ca", &ca, "--server-name", NAME];
    arguments.extend(["--timeout", "60", "-o", "json"]);
    arguments.extend(addresses.iter().map(String::as_str));
    let report = as_json(&exits(0, &covenant(&arguments)));
    let told = report["probes"].as_array().unwrap().iter();
    let told: Vec<&str> = told.map(|it| it["target"].as_str().unwrap()).collect();
    assert_eq!(told, addresses);
    assert_eq!(report["result"], "Passed");
}

#[test]
fn ipv6_is_probed_in_brackets() {
    if TcpListener::bind("[::1]:0").is_err() {
        println!("this machine has no IPv6");
        return;
    }
    let authority = Authority::new();
    let config = authority.config_with(ONLY_13, request(&["::1"]));
    let server = Server::on("[::1]:0", move |stream| talk(&config, stream));
    let ca = authority.file().display().to_string();
    let output = covenant(&[
        "probe",
        &server.text(),
        "--ca",
        &ca,
        "--timeout",
        "60",
        "-o",
        "json",
    ]);
    let found = seen(0, &output);
    assert_eq!(found["target"], server.text());
    assert_eq!(found["offers"], "Tls13Only");
}

#[test]
fn a_certificate_says_nothing_that_a_terminal_obeys() {
    let authority = Authority::new();
    let mut hostile = request(&[NAME]);
    hostile.distinguished_name.push(
        rcgen::DnType::OrganizationName,
        "\u{1b}]0;owned\u{7}\r\nResult passed\u{202e}",
    );
    let server = Server::tls(authority.config_with(ONLY_13, hostile));
    let text = exits(0, &probe(&server, &authority, &[]));
    let json = exits(0, &probe(&server, &authority, &["-o", "json"]));
    for printed in [&text, &json] {
        let obeyed = |letter: char| letter.is_control() && letter != '\n';
        assert!(!printed.contains(obeyed), "{printed:?}");
        assert!(!printed.contains('\u{202e}'), "{printed:?}");
    }
    assert!(!text.contains("\nResult passed"), "{text}");
}

#[test]
fn what_cannot_be_asked_is_an_error_that_says_what_to_write() {
    fails(&covenant(&["probe", "https://a.example"]), &["is a URL"]);
    fails(&covenant(&["probe", "a.example:0"]), &["1 to 65535"]);
    fails(&covenant(&["probe", "::1::"]), &["[IPV6]:PORT"]);
    let bad = covenant(&["probe", "127.0.0.1", "--server-name", "a b"]);
    fails(
        &bad,
        &["--server-name", "neither an IP address nor a DNS name"],
    );
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing\n").unwrap();
    let empty = empty.display().to_string();
    let none = covenant(&["probe", "127.0.0.1", "--ca", &empty]);
    fails(&none, &["has no certificate"]);
    let missing = covenant(&["probe", "127.0.0.1", "--ca", "/nowhere.pem"]);
    fails(&missing, &["--ca: cannot read /nowhere.pem"]);
    fails(&covenant(&["probe"]), &["ADDRESS[:PORT]"]);
    let text = exits(0, &covenant(&["probe", "--help"]));
    assert!(text.contains("Exit code: 0 every server"), "{text}");
}
