//! The parameters of uploads.

use super::Parameter;

/// Of GetPackageStorageCredential.
pub const GET_PACKAGE_STORAGE_CREDENTIAL: &[Parameter] = &[];

/// Of QueryRegionConfig.
pub const QUERY_REGION_CONFIG: &[Parameter] = &[];
