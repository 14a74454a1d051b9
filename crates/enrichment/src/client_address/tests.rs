//! Headers from honest proxies and from dishonest clients.

use proptest::prelude::*;

use super::*;

const PROXY: &str = "10.0.0.1";
const TRUSTED: &str = "10.0.0.0/8, fd00::/8, ::1";

/// Checks the address for either header: the one without lines leads to the peer.
#[track_caller]
fn check(peer: &str, forwarded: &[&str], x_forwarded_for: &[&str], expected: &str) {
    let (header, lines) = match forwarded {
        [] => (ClientIpHeader::XForwardedFor, x_forwarded_for),
        lines => (ClientIpHeader::Forwarded, lines),
    };
    check_header(&header, peer, lines, expected);
}

#[track_caller]
fn check_header(header: &ClientIpHeader, peer: &str, lines: &[&str], expected: &str) {
    let trusted = TrustedProxies::parse(TRUSTED).unwrap();
    let client = client_address(peer.parse().unwrap(), header, lines, &trusted);
    assert_eq!(client.to_string(), expected, "{peer} {header} {lines:?}");
}

#[test]
fn untrusted_peer_is_the_client_despite_its_headers() {
    check("203.0.113.7", &["for=192.0.2.1"], &[], "203.0.113.7");
    check("::ffff:203.0.113.7", &[], &["192.0.2.2"], "203.0.113.7");
    check_header(&single(), "203.0.113.7", &["192.0.2.2"], "203.0.113.7");
    let nobody = TrustedProxies::default();
    let loopback = "127.0.0.1".parse().unwrap();
    let header = ClientIpHeader::default();
    assert_eq!(client_address(loopback, &header, &["192.0.2.2"], &nobody), loopback);
}

#[test]
fn client_is_the_rightmost_untrusted_address() {
    check(PROXY, &[], &["192.0.2.1"], "192.0.2.1");
    check(PROXY, &[], &["6.6.6.6, 192.0.2.1, 10.1.2.3"], "192.0.2.1");
    check(PROXY, &[], &["6.6.6.6", "192.0.2.1, 10.1.2.3", "10.9.9.9"], "192.0.2.1");
    check(PROXY, &["for=6.6.6.6", "for=192.0.2.1;proto=https, for=10.1.2.3"], &[], "192.0.2.1");
    check("::ffff:10.0.0.1", &[], &["192.0.2.1, ::ffff:10.1.2.3"], "192.0.2.1");
}

#[test]
fn leftmost_address_is_the_client_if_all_are_trusted() {
    check(PROXY, &[], &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
    check(PROXY, &[], &[], PROXY);
    check(PROXY, &[], &["", " , ,"], PROXY);
}

fn single() -> ClientIpHeader {
    "X-Real-IP".parse().unwrap()
}

#[test]
fn header_with_one_address_is_read_whole() {
    let header = single();
    check_header(&header, PROXY, &[" 192.0.2.1 "], "192.0.2.1");
    check_header(&header, PROXY, &["[2001:db8::1]:80"], "2001:db8::1");
    // No list, and no search for an untrusted address.
    check_header(&header, PROXY, &["10.9.9.9"], "10.9.9.9");
    for lines in [&[][..], &[""], &["unknown"], &["6.6.6.6, 192.0.2.1"], &["6.6.6.6", "192.0.2.1"]]
    {
        check_header(&header, PROXY, lines, PROXY);
    }
}

#[test]
fn header_is_read_by_its_name() {
    for (text, expected) in [
        ("x-forwarded-for", ClientIpHeader::XForwardedFor),
        ("X-Forwarded-For", ClientIpHeader::XForwardedFor),
        ("Forwarded", ClientIpHeader::Forwarded),
        ("CF-Connecting-IP", ClientIpHeader::Single("cf-connecting-ip".to_owned())),
    ] {
        let header: ClientIpHeader = text.parse().unwrap();
        assert_eq!((header.name(), &header), (&*text.to_ascii_lowercase(), &expected));
    }
    for text in ["", "x real ip", "x-real-ip:", "ä", "x\n", &"x".repeat(65)] {
        assert!(text.parse::<ClientIpHeader>().is_err(), "{text:?}");
    }
}

#[test]
fn ports_brackets_quotes_and_any_case_are_read() {
    for (element, expected) in [
        ("for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
        ("For=\"[2001:DB8::1]\"", "2001:db8::1"),
        ("FOR=\"192.0.2.1:4711\"", "192.0.2.1"),
        ("by=10.0.0.1;for=192.0.2.1:4711;host=\"a,b;c\"", "192.0.2.1"),
        ("host=\"for=6.6.6.6, for=6.6.6.7\";for=192.0.2.1", "192.0.2.1"),
        // A quoted pair may escape any character (RFC 9110, section 5.6.4).
        ("for=\"\\1\\9\\2.0.2.1\"", "192.0.2.1"),
        ("for=\"[::ffff:192.0.2.1]:_hidden\"", "192.0.2.1"),
        (" ,for=192.0.2.1 , ", "192.0.2.1"),
    ] {
        check(PROXY, &[element], &[], expected);
    }
    for (hop, expected) in [
        ("192.0.2.1:80", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ] {
        check(PROXY, &[], &[hop], expected);
    }
}

#[test]
fn hop_without_an_address_ends_the_search() {
    for element in [
        "for=unknown",
        "for=_gazonk",
        "for=\"_SEVKISEK\"",
        "for=",
        "for",
        "by=192.0.2.9",
        "for=192.0.2.9;for=192.0.2.8",
        // A port has at most five digits (RFC 7239, section 6).
        "for=192.0.2.9:99999999",
        "for=\"[2001:db8::1]x\"",
        // Brackets are for IPv6 only.
        "for=\"[192.0.2.9]\"",
        // A zone has a meaning on one machine only.
        "for=\"[2001:db8::1%eth0]\"",
        "for=2001:db8::1:zz",
        "for=192.0.2",
        "for=\u{1}é",
    ] {
        // The client's own 6.6.6.6 is never reached.
        check(PROXY, &[&format!("for=6.6.6.6, {element}, for=10.0.0.2")], &[], "10.0.0.2");
        check(PROXY, &[&format!("for=6.6.6.6, {element}")], &[], PROXY);
    }
    check(PROXY, &[], &["6.6.6.6, garbage, 10.0.0.2"], "10.0.0.2");
}

#[test]
fn open_quote_of_a_client_hides_no_line_of_a_proxy() {
    check(PROXY, &["for=\"6.6.6.6", "for=192.0.2.1"], &[], "192.0.2.1");
    check(PROXY, &["for=\"6.6.6.6, for=192.0.2.1"], &[], PROXY);
    check(PROXY, &["for=6.6.6.6, for=\"192.0.2.1"], &[], PROXY);
}

#[test]
fn trusted_proxies_are_addresses_and_networks() {
    // The bits of a network after its prefix do not count.
    let trusted =
        TrustedProxies::parse(" 10.1.2.3/8,::1 ,192.0.2.7, ::ffff:198.51.100.0/120,").unwrap();
    for (address, expected) in [
        ("10.255.0.1", true),
        ("11.0.0.1", false),
        ("::1", true),
        ("::2", false),
        ("192.0.2.7", true),
        ("192.0.2.8", false),
        ("::ffff:192.0.2.7", true),
        ("198.51.100.9", true),
        ("198.51.101.9", false),
    ] {
        assert_eq!(trusted.contains(address.parse().unwrap()), expected, "{address}");
    }
    assert_eq!(TrustedProxies::parse(" "), Ok(TrustedProxies::default()));
}

#[test]
fn invalid_entry_is_named_in_the_error() {
    for entry in ["10.0.0.0/33", "example.com", "10.0.0", "10.0.0.0/8/8", "[::1]", "10.0.0.0/8 ::1"]
    {
        let error = TrustedProxies::parse(&format!("127.0.0.1, {entry}, ::1")).unwrap_err();
        assert_eq!(error.entry, entry);
        assert!(error.to_string().contains(entry), "{error}");
    }
}

#[test]
fn open_quote_before_the_part_of_a_proxy_forges_no_address() {
    for lie in [
        "for=6.6.6.6;host=\"",
        "for=6.6.6.6;host=\"\\",
        "for=6.6.6.6;by=\"a\";host=\"",
        "for=6.6.6.6;host=a\"",
        "for=6.6.6.6;x\"=a",
        "for=6.6.6.6;x\"",
    ] {
        for added in [
            "for=192.0.2.1",
            "for=\"[2001:db8::1]\"",
            "for=192.0.2.1;host=\"a,b;c\"",
            "for=192.0.2.1;host=\"a\\\"b\"",
            "for=192.0.2.1, for=10.0.0.2",
        ] {
            // The line is not believed; the next line, from another proxy, is.
            check(PROXY, &[&format!("{lie}, {added}")], &[], PROXY);
            check(PROXY, &[&format!("{lie}, {added}"), "for=192.0.2.7"], &[], "192.0.2.7");
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_headers_cause_no_panic(lines in prop::collection::vec(".*|[for=\"\\\\,;:\\[\\]0-9a-f. _]{0,60}", 0..4)) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        // All addresses are trusted, so every hop is read.
        let trusted = TrustedProxies::parse("0.0.0.0/0, ::/0").unwrap();
        let peer = "10.0.0.1".parse().unwrap();
        for header in [ClientIpHeader::Forwarded, ClientIpHeader::XForwardedFor, single()] {
            let _ = client_address(peer, &header, &lines, &trusted);
        }
    }

    #[test]
    fn text_left_of_an_untrusted_hop_changes_nothing(lie in "[ -~]{0,40}", last in any::<[u8; 4]>()) {
        let trusted = TrustedProxies::parse(TRUSTED).unwrap();
        let last = IpAddr::from(last);
        prop_assume!(!trusted.contains(last));
        let peer = PROXY.parse().unwrap();
        let line = format!("{lie}, {last}");
        let header = ClientIpHeader::XForwardedFor;
        prop_assert_eq!(client_address(peer, &header, &[&line], &trusted), last);
        let (header, own_line) = (ClientIpHeader::Forwarded, format!("for={last}"));
        prop_assert_eq!(client_address(peer, &header, &[&lie, &own_line], &trusted), last);
    }
}
