//! Texts from real programs, and texts no program sends.

use super::*;

/// `expected` is `[kind, brand, model, os, browser]`; `-` for an unknown one.
#[track_caller]
fn check(text: &str, expected: [&str; 5]) {
    let agent = Agent::parse(text);
    let kind = agent.device.as_ref().map(|device| device.kind.clone());
    let device = agent.device.unwrap_or_default();
    let actual = [
        kind,
        device.brand,
        device.model,
        agent.os.as_ref().map(name_and_version),
        agent.browser.as_ref().map(name_and_version),
    ];
    assert_eq!(actual.map(|text| text.unwrap_or_else(|| "-".to_owned())), expected, "{text}");
}

fn name_and_version(software: &Software) -> String {
    match &software.version {
        Some(version) => format!("{} {version}", software.name),
        None => software.name.clone(),
    }
}

#[test]
fn desktop_browsers_are_recognized() {
    for (text, expected) in [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
            ["desktop", "-", "-", "Windows 10", "Chrome 142.0.0.0"],
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.3595.80",
            ["desktop", "-", "-", "Windows 10", "Edge 142.0.3595.80"],
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
            ["desktop", "-", "-", "Windows 10", "Firefox 145.0"],
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15",
            ["desktop", "Apple", "Mac", "Mac OS X 10.15.7", "Safari 26.1"],
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
            ["desktop", "-", "-", "Linux", "Chrome 142.0.0.0"],
        ),
        (
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
            ["desktop", "-", "-", "Ubuntu", "Firefox 145.0"],
        ),
        (
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
            ["desktop", "-", "-", "Chrome OS 14541.0.0", "Chrome 142.0.0.0"],
        ),
    ] {
        check(text, expected);
    }
}

#[test]
fn phones_and_tablets_are_distinguished() {
    for (text, expected) in [
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1",
            ["mobile", "Apple", "iPhone", "iOS 18.7", "Mobile Safari 26.1"],
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.7444.77 Mobile/15E148 Safari/604.1",
            ["mobile", "Apple", "iPhone", "iOS 18.7", "Chrome Mobile iOS 142.0.7444.77"],
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.7 Mobile/15E148 Safari/604.1",
            ["tablet", "Apple", "iPad", "iOS 17.7", "Mobile Safari 17.7"],
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.7444.102 Mobile Safari/537.36",
            ["mobile", "Google", "Pixel 8", "Android 14", "Chrome Mobile 142.0.7444.102"],
        ),
        // Chrome hides the model behind a K, and the version of Android behind 10.
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
            ["mobile", "-", "-", "Android 10", "Chrome Mobile 142.0.0.0"],
        ),
        // Chrome on a tablet omits "Mobile".
        (
            "Mozilla/5.0 (Linux; Android 13; SM-X906C) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
            ["tablet", "Samsung", "SM-X906C", "Android 13", "Chrome 142.0.0.0"],
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
            ["mobile", "Samsung", "SM-S918B", "Android 13", "Samsung Internet 28.0"],
        ),
        (
            "Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0",
            ["mobile", "-", "-", "Android 15", "Firefox Mobile 145.0"],
        ),
        (
            "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/AP2A.240805.005)",
            ["mobile", "Google", "Pixel 8", "Android 14", "Android 14"],
        ),
        // CFNetwork is Apple's network library for apps.
        ("MyApp/7 CFNetwork/1568.200.51 Darwin/24.1.0", ["mobile", "Apple", "-", "iOS", "MyApp 7"]),
    ] {
        check(text, expected);
    }
}

#[test]
fn bots_are_recognized_without_their_disguise() {
    for (text, expected) in [
        (
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            ["bot", "-", "-", "-", "Googlebot 2.1"],
        ),
        // Google's crawler for phones sends the text of a phone.
        (
            "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            ["bot", "-", "-", "Android 6.0.1", "Googlebot 2.1"],
        ),
        (
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            ["bot", "-", "-", "-", "FacebookBot 1.1"],
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36",
            ["bot", "-", "-", "Linux", "HeadlessChrome 142.0.0"],
        ),
    ] {
        check(text, expected);
    }
    // Cubot is a brand of phones.
    check(
        "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/100.0.0.0 Mobile Safari/537.36",
        ["mobile", "-", "CUBOT_X19", "Android 9", "Chrome Mobile 100.0.0.0"],
    );
}

#[test]
fn programs_televisions_and_consoles_are_other() {
    for (text, expected) in [
        ("curl/8.14.1", ["other", "-", "-", "-", "curl 8.14.1"]),
        ("okhttp/4.12.0", ["other", "-", "-", "-", "okhttp 4.12.0"]),
        ("python-requests/2.32.5", ["other", "-", "-", "-", "Python Requests 2.32"]),
        ("Go-http-client/2.0", ["other", "-", "-", "-", "Go-http-client 2.0"]),
        ("Wget/1.21.3 (linux-gnu)", ["other", "-", "-", "Linux", "Wget 1.21.3"]),
        (
            "Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/4.0 Chrome/94.0.4606.31 TV Safari/537.36",
            ["other", "Samsung", "SMART-TV", "Tizen 7.0", "Samsung Internet 4.0"],
        ),
        (
            "Mozilla/5.0 (PlayStation; PlayStation 5/7.40) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Safari/605.1.15",
            ["other", "Sony", "PlayStation 5", "-", "Safari 17.0"],
        ),
    ] {
        check(text, expected);
    }
}

#[test]
fn meaningless_text_has_no_facts() {
    let long = "é".repeat(4000);
    for text in
        ["", "   ", "-", "zzz qqq", "Mozilla/5.0 \0 Firefox/145.0", "{}", "\u{FFFD}\u{202E}", &long]
    {
        assert_eq!(Agent::parse(text), Agent::default(), "{text}");
    }
}

#[test]
fn text_is_cut_at_its_limit_between_characters() {
    let firefox =
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0 ";
    // 400 characters of two bytes exceed the limit of 512 bytes.
    let long = format!("{firefox}{}", "é".repeat(400));
    assert_eq!(Agent::parse(&long), Agent::parse(firefox));
    // The name begins after the limit.
    let late = format!("{}Firefox/145.0", "x ".repeat(300));
    assert_eq!(Agent::parse(&late), Agent::default());
}

#[test]
fn text_is_parsed_once_and_then_cached() {
    let agents = UserAgents::default();
    let sharing = agents.clone();
    let first = agents.parse("curl/8.14.1");
    assert!(Arc::ptr_eq(&first, &sharing.parse("curl/8.14.1")));
    for version in 0..3 * CACHED_TEXTS {
        agents.0.insert(format!("x/{version}").into(), Arc::clone(&first));
    }
    assert!(agents.0.len() <= CACHED_TEXTS + CACHED_TEXTS / 4, "{}", agents.0.len());
}
