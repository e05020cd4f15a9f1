//! Limits and requests, which the two calls name differently.
//!
//! Processor time comes in whole cores or in millicores, memory in MB; 0 means
//! no limit. Where both cores and millicores are given, millicores count.

use crate::wire::{error::ApiError, params::Params};
use domain::template::spec::SpecChange;

/// Names of the parameters for an application's processor time and memory.
#[derive(Debug, Clone, Copy)]
pub struct AmountNames {
    pub cpu_limit: ProcessorNames,
    pub cpu_request: ProcessorNames,
    pub memory_limit: &'static str,
    pub memory_request: &'static str,
}

/// Names of the parameters for a limit or request of processor time.
#[derive(Debug, Clone, Copy)]
pub struct ProcessorNames {
    /// The one in whole cores; none = there is none.
    pub cores: Option<&'static str>,
    /// The one in millicores.
    pub millicores: &'static str,
}

impl AmountNames {
    /// As a creation names them.
    pub const CREATION: Self = Self {
        cpu_limit: ProcessorNames { cores: Some("LimitCpu"), millicores: "LimitmCpu" },
        cpu_request: ProcessorNames { cores: Some("RequestsCpu"), millicores: "RequestsmCpu" },
        memory_limit: "LimitMem",
        memory_request: "RequestsMem",
    };

    /// As a precheck names them.
    pub const PRECHECK: Self = Self {
        cpu_limit: ProcessorNames { cores: None, ..Self::CREATION.cpu_limit },
        cpu_request: ProcessorNames { cores: None, ..Self::CREATION.cpu_request },
        ..Self::CREATION
    };

    /// As a release names them.
    pub const RELEASE: Self = Self {
        cpu_limit: ProcessorNames { cores: Some("CpuLimit"), millicores: "McpuLimit" },
        cpu_request: ProcessorNames { cores: Some("CpuRequest"), millicores: "McpuRequest" },
        memory_limit: "MemoryLimit",
        memory_request: "MemoryRequest",
    };
}

/// Reads the amounts into a change of nothing else.
///
/// # Errors
/// `Invalid<name>`.
pub fn read_amounts(params: &Params, names: &AmountNames) -> Result<SpecChange, ApiError> {
    Ok(SpecChange {
        cpu_limit: read_processor(params, names.cpu_limit)?,
        cpu_request: read_processor(params, names.cpu_request)?,
        memory_limit: params.integer(names.memory_limit)?,
        memory_request: params.integer(names.memory_request)?,
        ..SpecChange::default()
    })
}

/// Processor time in millicores; none = neither parameter is there.
fn read_processor(params: &Params, names: ProcessorNames) -> Result<Option<u32>, ApiError> {
    let cores = names.cores.map(|name| params.integer::<u32>(name)).transpose()?.flatten();
    let millicores = params.integer(names.millicores)?;
    Ok(millicores.or(cores.map(|cores| cores * 1000)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(query: &str) -> Result<SpecChange, ApiError> {
        read_amounts(&Params::parse(query).unwrap(), &AmountNames::RELEASE)
    }

    #[rstest]
    #[case("", None)]
    #[case("CpuLimit=2", Some(2000))]
    #[case("McpuLimit=250", Some(250))]
    #[case("CpuLimit=2&McpuLimit=250", Some(250))]
    #[case("CpuLimit=0", Some(0))]
    fn millicores_count_before_cores(#[case] query: &str, #[case] expected: Option<u32>) {
        assert_eq!(read(query).unwrap().cpu_limit, expected);
    }

    #[rstest]
    #[case("CpuLimit=0.5")]
    #[case("CpuLimit=-1")]
    #[case("McpuLimit=1000000001")]
    fn an_amount_that_cannot_be_is_refused(#[case] query: &str) {
        let error = read(query).unwrap_err();
        assert!(
            matches!(error, ApiError::Gateway { ref code, .. } if code.starts_with("Invalid")),
            "{error:?}"
        );
    }
}
