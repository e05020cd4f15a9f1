//! Limits and requests, which the two calls name differently.
//!
//! Processor time comes in whole cores or in millicores, memory in MB; 0 means
//! no limit. Where both cores and millicores are given, millicores count.

use crate::wire::{error::ApiError, params::Params};

/// Names of the parameters for one resource's limit or request.
#[derive(Debug, Clone, Copy)]
pub struct ProcessorNames {
    /// The one in whole cores.
    pub cores: &'static str,
    /// The one in millicores.
    pub millicores: &'static str,
}

/// Reads processor time in millicores; none = neither parameter is there.
///
/// # Errors
/// `Invalid<name>`.
pub fn read_processor(params: &Params, names: ProcessorNames) -> Result<Option<u32>, ApiError> {
    let cores = params.integer::<u32>(names.cores)?;
    let millicores = params.integer(names.millicores)?;
    Ok(millicores.or(cores.map(|cores| cores * 1000)))
}

/// Reads memory in MB; none = the parameter is not there.
///
/// # Errors
/// `Invalid<name>`.
pub fn read_memory(params: &Params, name: &str) -> Result<Option<u32>, ApiError> {
    params.integer(name)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const NAMES: ProcessorNames = ProcessorNames { cores: "CpuLimit", millicores: "McpuLimit" };

    #[rstest]
    #[case("", None)]
    #[case("CpuLimit=2", Some(2000))]
    #[case("McpuLimit=250", Some(250))]
    #[case("CpuLimit=2&McpuLimit=250", Some(250))]
    #[case("CpuLimit=0", Some(0))]
    fn millicores_count_before_cores(#[case] query: &str, #[case] expected: Option<u32>) {
        assert_eq!(read_processor(&Params::parse(query).unwrap(), NAMES).unwrap(), expected);
    }

    #[rstest]
    #[case("CpuLimit=0.5")]
    #[case("CpuLimit=-1")]
    #[case("McpuLimit=1000000001")]
    fn an_amount_that_cannot_be_is_refused(#[case] query: &str) {
        let error = read_processor(&Params::parse(query).unwrap(), NAMES).unwrap_err();
        assert!(
            matches!(error, ApiError::Gateway { ref code, .. } if code.starts_with("Invalid")),
            "{error:?}"
        );
    }
}
