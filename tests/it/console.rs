//! The console: a whole server on a simulated cluster, asked as browsers ask.

mod browser;
mod connection;
mod flows;
mod gallery;
mod keycloak;
mod lists;
mod missing;
mod pages;
mod people;
mod rights;
mod sessions;

use std::{collections::BTreeMap, net::SocketAddr};

use console::People;
use quick_xml::{Reader, events::Event};
use reqwest::{Client, StatusCode, header::HeaderMap, redirect::Policy};
use service::{Visit, WantedKey};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{sign::Key, support::App};

/// The access key of the person who uses it.
pub const KEY: Key<'static> = Key { id: "console-key", secret: "console-secret" };

/// A server whose console is used.
pub struct Site {
    pub app: App,
    pub address: SocketAddr,
    client: Client,
    /// The cookie of a session, as a browser sends it.
    pub cookie: String,
    _stop: DropGuard,
}

/// A reply.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

impl Site {
    pub async fn start(pool: PgPool) -> Self {
        Self::of(App::start(pool).await).await
    }

    /// With somebody signed in already.
    pub async fn of(app: App) -> Self {
        Self::with(app, |_, _| None).await
    }

    /// With an identity provider, by the console's address and seal.
    pub async fn with(
        app: App,
        people: impl FnOnce(SocketAddr, oidc::Seal) -> Option<People>,
    ) -> Self {
        // An error says that there is a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let now = app.clock.now();
        assert!(app.store.insert_key(KEY.id, &KEY.secret.into(), "alice", now).await.unwrap());
        let link = app.service.make_link("alice").await.unwrap();
        let opened = app.service.open_linked_session(&link, &Visit::default()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let seal = oidc::Seal::new(app.service.console_seal().await.unwrap());
        let people = people(address, seal);
        let beside = sluice::beside::console_for(app.service.clone(), people);
        let router = edas::router_beside(app.service.clone(), edas::EdgeConfig::default(), beside);
        let (service, until) = (app.service.clone(), stop.clone());
        tokio::spawn(async move { service.keep_watches(until).await });
        let connections = edas::Connections::new(edas::ConnectionSettings::default());
        tokio::spawn(connections.serve(listener, router, stop.clone().cancelled_owned()));
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        let cookie = format!("sluice={}", opened.token.expose());
        Self { app, address, client, cookie, _stop: stop.drop_guard() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The same site for somebody else, with these grants.
    pub async fn becomes(&mut self, name: &str, wanted: WantedKey) {
        let wanted = WantedKey { principal: Some(name.into()), ..wanted };
        self.app.service.create_key(&service::Caller::of_commands(), &wanted).await.unwrap();
        let link = self.app.service.make_link(name).await.unwrap();
        let visit = Visit::default();
        let opened = self.app.service.open_linked_session(&link, &visit).await.unwrap();
        self.cookie = format!("sluice={}", opened.token.expose());
    }

    /// A page, as somebody asks for it who is signed in.
    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[("cookie", &self.cookie), ("accept", "text/html")], "").await
    }

    /// A form of one of the console's own pages.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Reply {
        let headers = [("cookie", self.cookie.as_str()), ("sec-fetch-site", "same-origin")];
        self.send("POST", path, &headers, &encoded(form)).await
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let mut request = self.client.request(method.parse().unwrap(), self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        let response = request.body(body.to_owned()).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Reply { status, headers, body: response.text().await.unwrap() }
    }

    /// A reply as it comes.
    pub async fn stream(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).header("cookie", &self.cookie).send().await.unwrap()
    }
}

pub fn encoded(form: &[(&str, &str)]) -> String {
    let escape = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let pairs = form.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// An element of a page.
#[derive(Debug, Clone)]
pub struct Element {
    pub name: String,
    pub attributes: BTreeMap<String, String>,
    /// Where in the page it begins: elements before it have smaller numbers.
    pub form: Option<usize>,
}

impl Element {
    pub fn of(&self, name: &str) -> &str {
        self.attributes.get(name).map(String::as_str).unwrap_or_default()
    }
}

/// The elements of a page. It is well formed: a part that is not closed would be noticed.
pub fn elements(html: &str) -> Vec<Element> {
    let mut reader = Reader::from_str(html);
    let (mut found, mut open, mut form) = (Vec::new(), Vec::new(), None);
    loop {
        let event = reader.read_event().unwrap_or_else(|why| panic!("{why}\n{html}"));
        let (start, is_empty) = match event {
            Event::Start(start) => (start, false),
            Event::Empty(start) => (start, true),
            Event::End(end) => {
                let name = String::from_utf8(end.name().as_ref().to_vec()).unwrap();
                assert_eq!(open.pop(), Some(name.clone()), "{html}");
                if name == "form" {
                    form = None;
                }
                continue;
            }
            Event::Eof => break,
            _ => continue,
        };
        let name = String::from_utf8(start.name().as_ref().to_vec()).unwrap();
        let attributes = start.attributes().map(|attribute| {
            let attribute = attribute.unwrap_or_else(|why| panic!("{why}\n{html}"));
            let name = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
            let value = String::from_utf8(attribute.value.to_vec()).unwrap();
            (name, quick_xml::escape::unescape(&value).unwrap().into_owned())
        });
        if name == "form" {
            form = Some(found.len());
        }
        found.push(Element { attributes: attributes.collect(), name: name.clone(), form });
        if !is_empty {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "not closed: {open:?}");
    found
}

/// The value of a hidden field of a page.
pub fn hidden(html: &str, name: &str) -> String {
    let found = elements(html).into_iter().find(|it| it.name == "input" && it.of("name") == name);
    found.unwrap_or_else(|| panic!("no field {name} in {html}")).of("value").to_owned()
}
