//! Every parameter whose value has a language of its own, with what reads it.

use edas::{
    operation::release::resource,
    value::{
        config_data, environment, ingress, java, lossless, pods, ports, probe, scaling, strategy,
    },
    wire::{condition::Condition, error::ApiError, params::Params},
};

/// What reads a parameter.
pub type Read = fn(&Params) -> Result<(), ApiError>;

/// Each of them by its name, which the reader looks for.
pub const PARAMETERS: &[(&str, Read)] = &[
    ("Annotations", read_pod),
    ("Args", |params| environment::read_args(params, "Args").map(drop)),
    ("Condition", |params| Condition::read(params).map(drop)),
    ("ConfigMountDescs", read_pod),
    ("CustomAffinity", read_pod),
    ("CustomTolerations", read_pod),
    ("Data", |params| config_data::read_texts(params).map(drop)),
    ("Data", |params| config_data::read_secret(params).map(drop)),
    ("EmptyDirs", read_pod),
    ("EnableLosslessRule", |params| lossless::read(params).map(drop)),
    ("EnvFroms", |params| environment::read_env_froms(params).map(drop)),
    ("Envs", |params| environment::read_envs(params).map(drop)),
    ("IngressConf", |params| ingress::read(params).map(drop)),
    ("InitContainers", read_pod),
    ("JavaStartUpConfig", |params| java::read_java(params).map(drop)),
    ("Labels", read_pod),
    ("Labels", |params| ingress::read_texts(params, "Labels").map(drop)),
    ("LocalVolume", read_pod),
    ("PackageType", |params| java::read_package_type(params).map(drop)),
    ("PostStart", |params| probe::read_hook(params, "PostStart").map(drop)),
    ("PvcMountDescs", read_pod),
    ("Readiness", |params| probe::read(params, "Readiness").map(drop)),
    ("ResourceContent", |params| resource::read_object(params).map(drop)),
    ("RuntimeClassName", read_pod),
    ("ScalingBehaviour", |params| scaling::read_behaviour(params).map(drop)),
    ("ScalingRuleMetric", |params| scaling::read_range(params).map(drop)),
    ("ScalingRuleTrigger", |params| scaling::read_range(params).map(drop)),
    ("SecurityContext", read_pod),
    ("ServiceConfigs", |params| ports::read_first_services(params).map(drop)),
    ("ServicePortInfos", |params| ports::read_listeners(params).map(drop)),
    ("ServicePorts", |params| ports::read(params, "ServicePorts").map(drop)),
    ("Sidecars", read_pod),
    ("UpdateStrategy", |params| strategy::read(params).map(drop)),
    ("UriEncoding", |params| java::read_java(params).map(drop)),
    ("WebContainerConfig", |params| java::read_java(params).map(drop)),
];

fn read_pod(params: &Params) -> Result<(), ApiError> {
    pods::read(params, false).map(drop)
}
