//! Lists of the applications and orders of all namespaces, a page at a time.

use crate::{Error, Service};
use domain::{
    Input, Rejection,
    snapshot::{ApplicationLine, OrderLine},
};
use store::{
    ApplicationFilter, ListedApplication, ListedOrder, OrderFilter, WantedApplications,
    WantedOrders,
};

/// Rows of a page of the console.
const PAGE: usize = 50;

/// Lines that a page for the API has at most.
const MOST_LINES: usize = 200;

/// Longest text that is looked for.
const LONGEST_TEXT: usize = 63;

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    pub rows: Vec<T>,
    /// Whether there are more behind the last of them.
    pub has_more: bool,
}

impl<T> Listed<T> {
    pub(crate) fn of(mut rows: Vec<T>, most: usize) -> Self {
        let has_more = rows.len() > most;
        rows.truncate(most);
        Self { rows, has_more }
    }
}

impl Service {
    /// A page of applications, those first that need a person.
    ///
    /// # Errors
    /// A text to look for that is too long.
    pub async fn listed_applications(
        &self,
        filter: &WantedApplications,
    ) -> Result<Listed<ListedApplication>, Error> {
        text(&filter.text)?;
        Ok(Listed::of(
            self.store
                .listed_applications(filter, self.permit.filter().as_ref(), one_more(PAGE))
                .await?,
            PAGE,
        ))
    }

    /// A page of the orders of all applications, newest first.
    ///
    /// # Errors
    /// A text to look for that is too long.
    pub async fn listed_orders(&self, filter: &WantedOrders) -> Result<Listed<ListedOrder>, Error> {
        text(&filter.text)?;
        Ok(Listed::of(
            self.store.listed_orders(filter, self.permit.filter().as_ref(), one_more(PAGE)).await?,
            PAGE,
        ))
    }

    /// A page of orders, newest first, at most [`MOST_LINES`].
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn order_lines(
        &self,
        filter: &OrderFilter,
        most: usize,
    ) -> Result<Listed<OrderLine>, Error> {
        let most = most.clamp(1, MOST_LINES);
        Ok(Listed::of(
            self.store.order_lines(filter, self.permit.filter().as_ref(), one_more(most)).await?,
            most,
        ))
    }

    /// A page of applications, by namespace and name; else as [`Self::order_lines`].
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn application_lines(
        &self,
        filter: &ApplicationFilter,
        most: usize,
    ) -> Result<Listed<ApplicationLine>, Error> {
        let most = most.clamp(1, MOST_LINES);
        Ok(Listed::of(
            self.store
                .application_lines(filter, self.permit.filter().as_ref(), one_more(most))
                .await?,
            most,
        ))
    }
}

pub(crate) fn one_more(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1)
}

fn text(text: &str) -> Result<(), Rejection> {
    if text.chars().count() <= LONGEST_TEXT {
        return Ok(());
    }
    let allowed = format!("at most {LONGEST_TEXT} characters of a name can be looked for");
    Err(Rejection::invalid(Input::ApplicationName, text, allowed))
}
