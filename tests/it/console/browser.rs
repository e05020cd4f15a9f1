//! A browser: Debian's Chromium, driven through its own driver.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};
use thirtyfour::{By, ChromiumLikeCapabilities, DesiredCapabilities, WebDriver, WebElement};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use super::{KEY, Site};
use crate::support::{DEADLINE, eventually};

/// A browser with one window. Dropping it ends its driver, and that the browser.
pub struct Browser {
    pub driver: WebDriver,
    _process: Child,
}

impl Browser {
    pub async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
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
        let mut capabilities = DesiredCapabilities::chrome();
        for flag in [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--no-proxy-server",
            "--disable-background-networking",
            "--no-first-run",
            "--window-size=1280,900",
        ] {
            capabilities.add_arg(flag).unwrap();
        }
        capabilities.set_browser_log_level(thirtyfour::LoggingPrefsLogLevel::All).unwrap();
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities)
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
        self.driver.goto(site.url(path)).await.unwrap();
    }

    /// Waits for an element.
    pub async fn find(&self, by: By) -> WebElement {
        eventually(async || self.driver.find(by.clone()).await.map_err(|why| why.to_string())).await
    }

    pub async fn fill(&self, id: &str, text: &str) {
        // A field of a page that is updated meanwhile is looked for again.
        eventually(async || {
            let filled = async {
                let field = self.driver.find(By::Id(id)).await?;
                field.clear().await?;
                field.send_keys(text).await
            };
            filled.await.map_err(|why: thirtyfour::error::WebDriverError| why.to_string())
        })
        .await;
    }

    pub async fn choose(&self, id: &str) {
        self.find(By::Id(id)).await.click().await.unwrap();
    }

    /// Presses the button with this label, once it can be seen.
    pub async fn press(&self, label: &str) {
        let path = format!("//button[normalize-space()='{label}']");
        self.click(By::XPath(path)).await;
    }

    /// Follows the link with this label.
    pub async fn follow(&self, label: &str) {
        self.click(By::XPath(format!("//a[normalize-space()='{label}']"))).await;
    }

    /// Opens what a button is hidden in, and presses it.
    pub async fn press_in(&self, label: &str) {
        self.click(By::XPath(format!("//summary[normalize-space()='{label}']"))).await;
        self.press(label).await;
    }

    async fn click(&self, by: By) {
        // What is updated meanwhile is looked for again.
        eventually(async || {
            let found = self.driver.find(by.clone()).await.map_err(|why| why.to_string())?;
            found.click().await.map_err(|why| why.to_string())
        })
        .await;
    }

    pub async fn text(&self, css: &str) -> String {
        let found = self.driver.find(By::Css(css)).await;
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
        self.driver.execute(script, Vec::new()).await.unwrap().json().clone()
    }

    pub async fn size(&self, width: u32) {
        let size =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        let hidden = json!({ "hidden": true });
        self.driver.cdp().send_raw("Emulation.setScrollbarsHidden", hidden).await.unwrap();
        self.driver.cdp().send_raw("Emulation.setDeviceMetricsOverride", size).await.unwrap();
    }

    pub async fn scheme(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.driver.cdp().send_raw("Emulation.setEmulatedMedia", features).await.unwrap();
    }

    /// What the browser complained of: errors of scripts, and what the policy forbade.
    pub async fn complaints(&self) -> Vec<String> {
        let logged = self.driver.browser_log().await.unwrap();
        let worst = logged.into_iter().filter(|line| line.level == "SEVERE");
        worst.map(|line| line.message).collect()
    }

    pub async fn end(self) {
        let ended = tokio::time::timeout(Duration::from_secs(20), self.driver.quit()).await;
        ended.expect("the browser must end").unwrap();
    }
}
