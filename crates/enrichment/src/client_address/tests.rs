//! Headers as proxies, and as liars, send them.

use proptest::prelude::*;

use super::*;

const PROXY: &str = "10.0.0.1";
const TRUSTED: &str = "10.0.0.0/8, fd00::/8, ::1";

#[track_caller]
fn check(peer: &str, forwarded: &[&str], x_forwarded_for: &[&str], expected: &str) {
    let trusted = TrustedProxies::parse(TRUSTED).unwrap();
    let client = client_address(peer.parse().unwrap(), forwarded, x_forwarded_for, &trusted);
    assert_eq!(client.to_string(), expected, "{peer} {forwarded:?} {x_forwarded_for:?}");
}

#[test]
fn a_peer_that_is_not_trusted_is_the_client_whatever_it_says() {
    check("203.0.113.7", &["for=192.0.2.1"], &["192.0.2.2"], "203.0.113.7");
    check("::ffff:203.0.113.7", &[], &["192.0.2.2"], "203.0.113.7");
    let nobody = TrustedProxies::default();
    let loopback = "127.0.0.1".parse().unwrap();
    assert_eq!(client_address(loopback, &[], &["192.0.2.2"], &nobody), loopback);
}

#[test]
fn the_walk_goes_from_right_to_left_to_the_first_that_is_not_trusted() {
    check(PROXY, &[], &["192.0.2.1"], "192.0.2.1");
    check(PROXY, &[], &["6.6.6.6, 192.0.2.1, 10.1.2.3"], "192.0.2.1");
    check(PROXY, &[], &["6.6.6.6", "192.0.2.1, 10.1.2.3", "10.9.9.9"], "192.0.2.1");
    check(PROXY, &["for=6.6.6.6", "for=192.0.2.1;proto=https, for=10.1.2.3"], &[], "192.0.2.1");
    check("::ffff:10.0.0.1", &[], &["192.0.2.1, ::ffff:10.1.2.3"], "192.0.2.1");
}

#[test]
fn where_all_are_trusted_the_leftmost_is_the_client() {
    check(PROXY, &[], &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
    check(PROXY, &[], &[], PROXY);
    check(PROXY, &[], &["", " , ,"], PROXY);
}

#[test]
fn forwarded_goes_before_x_forwarded_for() {
    check(PROXY, &["for=192.0.2.1"], &["192.0.2.2"], "192.0.2.1");
    check(PROXY, &[" "], &["192.0.2.2"], "192.0.2.2");
    check(PROXY, &["for=unknown"], &["192.0.2.2"], PROXY);
}

#[test]
fn ports_brackets_quotes_and_letters_of_any_case_are_read() {
    for (element, expected) in [
        ("for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
        ("For=\"[2001:DB8::1]\"", "2001:db8::1"),
        ("FOR=\"192.0.2.1:4711\"", "192.0.2.1"),
        ("by=10.0.0.1;for=192.0.2.1:4711;host=\"a,b;c\"", "192.0.2.1"),
        ("host=\"for=6.6.6.6, for=6.6.6.7\";for=192.0.2.1", "192.0.2.1"),
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
fn a_hop_without_an_address_ends_the_walk_at_the_last_known() {
    for element in [
        "for=unknown",
        "for=_gazonk",
        "for=\"_SEVKISEK\"",
        "for=",
        "for",
        "by=192.0.2.9",
        "for=192.0.2.9;for=192.0.2.8",
        "for=192.0.2.9:99999999",
        "for=\"[2001:db8::1]x\"",
        "for=\"[192.0.2.9]\"",
        "for=\"[2001:db8::1%eth0]\"",
        "for=2001:db8::1:zz",
        "for=192.0.2",
        "for=\u{1}é",
    ] {
        check(PROXY, &[&format!("for=6.6.6.6, {element}, for=10.0.0.2")], &[], "10.0.0.2");
        check(PROXY, &[&format!("for=6.6.6.6, {element}")], &[], PROXY);
    }
    check(PROXY, &[], &["6.6.6.6, garbage, 10.0.0.2"], "10.0.0.2");
}

#[test]
fn a_quote_left_open_by_a_client_hides_no_line_of_a_proxy() {
    check(PROXY, &["for=\"6.6.6.6", "for=192.0.2.1"], &[], "192.0.2.1");
    check(PROXY, &["for=\"6.6.6.6, for=192.0.2.1"], &[], PROXY);
    check(PROXY, &["for=6.6.6.6, for=\"192.0.2.1"], &[], PROXY);
}

#[test]
fn proxies_are_read_from_a_list_of_addresses_and_networks() {
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
fn an_entry_that_is_no_network_is_named() {
    for entry in ["10.0.0.0/33", "example.com", "10.0.0", "10.0.0.0/8/8", "[::1]", "10.0.0.0/8 ::1"]
    {
        let error = TrustedProxies::parse(&format!("127.0.0.1, {entry}, ::1")).unwrap_err();
        assert_eq!(error.entry, entry);
        assert!(error.to_string().contains(entry), "{error}");
    }
}

#[test]
fn a_quote_left_open_makes_no_address_of_ones_own_from_a_line_that_a_proxy_goes_on_with() {
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
            check(PROXY, &[&format!("{lie}, {added}")], &[], PROXY);
            check(PROXY, &[&format!("{lie}, {added}"), "for=192.0.2.7"], &[], "192.0.2.7");
        }
    }
}

proptest! {
    #[test]
    fn no_header_makes_it_panic(lines in prop::collection::vec(".*|[for=\"\\\\,;:\\[\\]0-9a-f. _]{0,60}", 0..4)) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let trusted = TrustedProxies::parse("0.0.0.0/0, ::/0").unwrap();
        let peer = "10.0.0.1".parse().unwrap();
        let _ = client_address(peer, &lines, &[], &trusted);
        let _ = client_address(peer, &[], &lines, &trusted);
    }

    #[test]
    fn what_stands_left_of_an_untrusted_hop_changes_nothing(lie in "[ -~]{0,40}", last in any::<[u8; 4]>()) {
        let trusted = TrustedProxies::parse(TRUSTED).unwrap();
        let last = IpAddr::from(last);
        prop_assume!(!trusted.contains(last));
        let peer = PROXY.parse().unwrap();
        let line = format!("{lie}, {last}");
        prop_assert_eq!(client_address(peer, &[], &[&line], &trusted), last);
        let own_line = format!("for={last}");
        prop_assert_eq!(client_address(peer, &[&lie, &own_line], &[], &trusted), last);
    }
}
