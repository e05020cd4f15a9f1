//! A browser: Debian's Chromium, driven through its own driver.

use std::{process::Stdio, time::Duration};

use fantoccini::{
    Client, ClientBuilder, Locator, elements::Element, error::CmdError,
    wd::WebDriverCompatibleCommand,
};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use url::Url;

use super::{KEY, Site};
use crate::support::{DEADLINE, eventually};

/// A browser with one window. Dropping it ends its driver, and that the browser.
pub struct Browser {
    pub driver: Client,
    _process: Child,
}

impl Browser {
    pub async fn start() -> Self {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver must be installed (Debian's chromium-driver)");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = tokio::time::timeout(DEADLINE, async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, rest)) = line.split_once("started successfully on port ") {
                    return rest.trim_end_matches('.').parse::<u16>().unwrap();
                }
            }
            panic!("chromedriver ended");
        });
        let port = port.await.expect("chromedriver must say its port");
        // It would wait for somebody to read what else it says.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let flags = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--no-proxy-server",
            "--disable-background-networking",
            "--no-first-run",
            "--window-size=1280,900",
        ];
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!() };
        let driver = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("chromium must start");
        Self { driver, _process: process }
    }

    /// Signed in with the access key, by typing it.
    pub async fn signed_in(site: &Site) -> Self {
        let browser = Self::start().await;
        browser.open(site, "/console").await;
        browser.fill("key-id", KEY.id).await;
        browser.fill("key-secret", KEY.secret).await;
        browser.press("Sign in").await;
        browser.until_heading("Applications").await;
        browser
    }

    pub async fn open(&self, site: &Site, path: &str) {
        self.driver.goto(&site.url(path)).await.unwrap();
    }

    /// Waits for an element.
    pub async fn find(&self, by: Locator<'_>) -> Element {
        eventually(async || self.driver.find(by).await.map_err(|why| why.to_string())).await
    }

    pub async fn fill(&self, id: &str, text: &str) {
        // A field of a page that is updated meanwhile is looked for again.
        eventually(async || {
            let filled = async {
                let field = self.driver.find(Locator::Id(id)).await?;
                field.clear().await?;
                field.send_keys(text).await
            };
            filled.await.map_err(|why: CmdError| why.to_string())
        })
        .await;
    }

    pub async fn choose(&self, id: &str) {
        // As above: it may be drawn anew between the look and the click.
        eventually(async || {
            let chosen = async { self.driver.find(Locator::Id(id)).await?.click().await };
            chosen.await.map_err(|why: CmdError| why.to_string())
        })
        .await;
    }

    /// Presses the button with this label, once it can be seen.
    pub async fn press(&self, label: &str) {
        let path = format!("//button[normalize-space()='{label}']");
        self.click(&path).await;
    }

    /// Follows the link with this label.
    pub async fn follow(&self, label: &str) {
        self.click(&format!("//a[normalize-space()='{label}']")).await;
    }

    /// Opens what a button is hidden in, and presses it.
    pub async fn press_in(&self, label: &str) {
        self.click(&format!("//summary[normalize-space()='{label}']")).await;
        self.press(label).await;
    }

    async fn click(&self, path: &str) {
        self.click_on(Locator::XPath(path)).await;
    }

    /// Clicks what is found so, once it can be seen.
    pub async fn click_on(&self, by: Locator<'_>) {
        // What is updated meanwhile is looked for again.
        eventually(async || {
            let found = self.driver.find(by).await.map_err(|why| why.to_string())?;
            found.click().await.map_err(|why| why.to_string())
        })
        .await;
    }

    pub async fn text(&self, css: &str) -> String {
        let found = self.driver.find(Locator::Css(css)).await;
        match found {
            Ok(found) => found.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    pub async fn until(&self, css: &str, wanted: &str) {
        eventually(async || {
            let text = self.text(css).await;
            if text.contains(wanted) { Ok(()) } else { Err(format!("{wanted}: {text}")) }
        })
        .await;
    }

    pub async fn until_heading(&self, wanted: &str) {
        self.until("h1", wanted).await;
    }

    pub async fn script(&self, script: &str) -> Value {
        self.driver.execute(script, Vec::new()).await.unwrap()
    }

    pub async fn size(&self, width: u32) {
        let size =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        let hidden = json!({ "hidden": true });
        self.devtools("Emulation.setScrollbarsHidden", hidden).await;
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    pub async fn scheme(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// What the browser complained of: errors of scripts, and what the policy forbade.
    pub async fn complaints(&self) -> Vec<String> {
        let asked = OwnCommand { path: "se/log", body: json!({ "type": "browser" }) };
        let logged = self.driver.issue_cmd(asked).await.unwrap();
        let lines = logged.as_array().unwrap().iter().filter(|line| line["level"] == "SEVERE");
        lines.map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    }

    /// What the DevTools protocol has and WebDriver has not.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.driver.issue_cmd(OwnCommand { path: "goog/cdp/execute", body }).await.unwrap()
    }

    pub async fn end(self) {
        let ended = tokio::time::timeout(Duration::from_secs(20), self.driver.close()).await;
        ended.expect("the browser must end").unwrap();
    }
}

/// A command of chromedriver's own.
#[derive(Debug)]
struct OwnCommand {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for OwnCommand {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
