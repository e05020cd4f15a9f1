//! What is around the content of every page.

use crate::asset;

/// The frame of a page.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub title: String,
    /// Who is signed in; empty = nobody.
    pub who: String,
    /// Which entry of the navigation the page belongs to.
    pub place: Place,
    pub leads: Leads,
    /// Seconds after which a browser without a script loads the page again; 0 = never.
    pub refresh: u32,
}

/// Where links lead whoever looks: where nothing may be seen, there is none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Leads {
    pub applications: bool,
    pub application: bool,
    pub orders: bool,
    pub order: bool,
    /// Whether channels are shown: to those who manage access.
    pub channels: bool,
    /// Whether rules that hold orders off are shown.
    pub holds: bool,
}

/// An entry of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Applications,
    Orders,
    Keys,
    Channels,
    Holds,
    Sessions,
    Nowhere,
}

impl Frame {
    /// For nobody in particular.
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            who: String::new(),
            place: Place::Nowhere,
            leads: Leads::default(),
            refresh: 0,
        }
    }

    pub(crate) fn style(&self) -> &'static str {
        &asset::STYLE_PATH
    }

    pub(crate) fn script(&self) -> &'static str {
        &asset::SCRIPT_PATH
    }

    /// `page` where this is the page's entry, for `aria-current`.
    pub(crate) fn current(&self, place: &str) -> &'static str {
        let own = match self.place {
            Place::Applications => "applications",
            Place::Orders => "orders",
            Place::Keys => "keys",
            Place::Channels => "channels",
            Place::Holds => "holds",
            Place::Sessions => "sessions",
            Place::Nowhere => "",
        };
        if own == place { "page" } else { "false" }
    }
}
