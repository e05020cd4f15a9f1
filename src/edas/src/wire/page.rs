//! `CurrentPage` or `PageNo`, and `PageSize`: a part of a list.
//!
//! Pages begin with 1, or in two operations with 0. A page behind the end is empty, not an error. Pure; it
//! knows nothing of what is listed.

use super::{error::ApiError, params::Params};

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Its number, from 1.
    pub number: i32,
    /// Items on a page.
    pub size: i32,
}

impl Page {
    /// Reads the page; without `PageSize` the page has `default_size` items.
    ///
    /// # Errors
    /// `InvalidCurrentPage`, `InvalidPageSize`.
    pub fn read(params: &Params, default_size: i32) -> Result<Self, ApiError> {
        Ok(Self {
            number: params.integer("CurrentPage")?.unwrap_or(1),
            size: params.integer("PageSize")?.unwrap_or(default_size),
        })
    }

    /// How many items are on the pages before it.
    #[must_use]
    pub fn offset(self) -> i64 {
        i64::from(self.number - 1) * i64::from(self.size)
    }

    /// The items of the page.
    pub fn of<T>(self, items: impl Iterator<Item = T>) -> Vec<T> {
        let (number, size) =
            (self.number.unsigned_abs() as usize, self.size.unsigned_abs() as usize);
        items.skip((number - 1).saturating_mul(size)).take(size).collect()
    }
}

/// Which part of a list is asked for, where pages begin with 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageFromZero {
    number: u32,
    size: u32,
}

impl PageFromZero {
    /// Reads the page; a size of 0 is all.
    ///
    /// # Errors
    /// `InvalidPageNo`, `InvalidPageSize`.
    pub fn read(params: &Params) -> Result<Self, ApiError> {
        Ok(Self {
            number: params.integer("PageNo")?.unwrap_or(0),
            size: params.integer("PageSize")?.unwrap_or(0),
        })
    }

    /// The items of the page.
    pub fn of<T>(self, items: impl Iterator<Item = T>) -> Vec<T> {
        match self.size as usize {
            0 if self.number == 0 => items.collect(),
            0 => Vec::new(),
            size => items.skip((self.number as usize).saturating_mul(size)).take(size).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(operation: &str, query: &str) -> Params {
        Params::parse(query).unwrap().of(operation)
    }

    #[test]
    fn pages_begin_with_one_and_the_last_may_be_short() {
        let page = |query: &str| Page::read(&of("ListApplication", query), 1000).unwrap().of(0..5);
        assert_eq!(page(""), [0, 1, 2, 3, 4]);
        assert_eq!(page("PageSize=2"), [0, 1]);
        assert_eq!(page("PageSize=2&CurrentPage=3"), [4]);
        assert!(page("PageSize=2&CurrentPage=1000000").is_empty());
        assert!(Page::read(&of("ListApplication", "CurrentPage=0"), 1).is_err());
    }

    #[test]
    fn pages_that_begin_with_zero_have_all_where_their_size_is_none() {
        let page = |query: &str| PageFromZero::read(&of("ListK8sSecrets", query)).unwrap().of(0..5);
        assert_eq!(page(""), [0, 1, 2, 3, 4]);
        assert_eq!(page("PageSize=2&PageNo=0"), [0, 1]);
        assert_eq!(page("PageSize=2&PageNo=2"), [4]);
        assert!(page("PageNo=1").is_empty() && page("PageSize=0&PageNo=0").len() == 5);
        assert!(PageFromZero::read(&of("ListK8sSecrets", "PageNo=-1")).is_err());
    }
}
