//! Whether pages can be used by who sees badly, or not at all, or uses no mouse.

use crate::browser::Browser;

/// Windows in which every page is looked at: from the narrowest that WCAG 2.2 knows (1.4.10) to a
/// wide one, in both colour schemes.
const LOOKS: [(u32, u32, &str); 6] = [
    (320, 640, "light"),
    (320, 640, "dark"),
    (768, 1024, "light"),
    (1320, 980, "light"),
    (1320, 980, "dark"),
    (2200, 1200, "light"),
];

/// What is wrong with these pages, with where it is and how it is looked at.
pub(crate) async fn audit(browser: &mut Browser, urls: &[String]) -> Vec<String> {
    let mut findings = Vec::new();
    for url in urls {
        browser.open(url).await;
        for (width, height, scheme) in LOOKS {
            browser.look(width, height, scheme).await;
            let found = browser.value(include_str!("accessibility.js")).await;
            let found = found.as_array();
            let found = found.unwrap_or_else(|| panic!("{url}: the audit fails"));
            let found = found.iter().filter_map(|finding| finding.as_str());
            findings.extend(found.map(|finding| format!("{url} {width} {scheme}: {finding}")));
        }
    }
    findings
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_page_is_found() {
    let page = "<html><title></title><body><h1>One</h1><h3>Three</h3><main>\
                <p style='color:%23999'>pale</p><a href='x'></a><input name=q>\
                <img src='data:,'><table><tr><td>cell</td></tr></table>\
                <div style='width:3000px'>wide</div></main></body></html>";
    let mut browser = Browser::start().await;
    let url = format!("data:text/html,{page}");
    let findings = audit(&mut browser, &[url]).await.join("\n");
    for what in [
        "title: none",
        "language: none",
        "landmark: 0 of nav",
        "outside of landmarks: h1",
        "skip link: leads nowhere",
        "heading skips a level: h3",
        "no name: a",
        "no label: input",
        "no text instead: img",
        "table without heads",
        "contrast of text: p \"pale\"",
        "wider than the window",
    ] {
        assert!(findings.contains(what), "{what} is not in\n{findings}");
    }
}
