//! Packages put into templates, changed, and taken out again.

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::template::names::RELEASE_ANNOTATION;
use crate::{ReleaseId, template::spec::SpecChange};

fn base() -> Value {
    json!({
        "metadata": { "labels": { "team": "a" }, "annotations": { "note": "kept" } },
        "spec": {
            "futureField": { "x": 1 },
            "initContainers": [{ "name": "other", "image": "init:1" }],
            "volumes": [{ "name": "data", "emptyDir": {} }],
            "containers": [
                { "name": "sidecar", "image": "side:1" },
                { "name": "web", "image": "shop/web:1", "command": ["run"], "args": ["a"],
                  "volumeMounts": [{ "name": "data", "mountPath": "/data" }] },
            ],
        },
    })
}

fn bare() -> Value {
    json!({ "metadata": { "annotations": {} }, "spec": { "containers": [{ "name": "web", "image": "shop/web:1" }] } })
}

fn package(kind: PackageKind, url: &str) -> JavaChange {
    let web_container = (kind == PackageKind::War).then(|| "apache-tomcat-9".to_owned());
    let image = if kind == PackageKind::War { "tomcat:9" } else { "jdk:8" };
    JavaChange {
        package: Some(Package {
            kind,
            url: url.parse().unwrap(),
            fetcher: "sluice:1".into(),
            rules: vec![EnvVar::plain("SLUICE_PACKAGE_HOSTS", "*")],
        }),
        runtime: Some(Runtime { jdk: "Open JDK 8".into(), web_container, image: image.into() }),
        ..JavaChange::default()
    }
}

fn jar() -> JavaChange {
    package(PackageKind::FatJar, "https://files.example.com/shop/web-2.jar?Signature=geheim$(A)")
}

fn war() -> JavaChange {
    package(PackageKind::War, "https://files.example.com/shop/web.war")
}

fn released(base: &Value, java: JavaChange) -> Value {
    SpecChange { java: Box::new(java), ..SpecChange::default() }.apply(
        base,
        "web",
        ReleaseId::new(),
    )
}

fn imaged(base: &Value) -> Value {
    SpecChange { image: Some("shop/web:1".into()), ..SpecChange::default() }.apply(
        base,
        "web",
        ReleaseId::new(),
    )
}

/// Without the annotation that every release changes.
fn plain(mut template: Value) -> Value {
    template["metadata"]["annotations"].as_object_mut().unwrap().remove(RELEASE_ANNOTATION);
    template
}

fn web(template: &Value) -> &Map<String, Value> {
    crate::template::container::container_of(
        template,
        &crate::template::container::Known::Nothing,
        "web",
    )
    .unwrap()
}

fn command(template: &Value) -> Vec<&str> {
    web(template)["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

fn variable<'a>(template: &'a Value, name: &str) -> Option<&'a str> {
    let env = fetcher_of(template)?["env"].as_array()?;
    env.iter().find(|variable| variable["name"] == name)?["value"].as_str()
}

#[test]
fn a_jar_is_fetched_by_an_init_container_and_started_on_the_runtime_image() {
    let template = released(&base(), jar());
    assert_eq!(
        fetcher_of(&template).unwrap(),
        &json!({
            "name": "sluice-package", "image": "sluice:1", "command": ["sluice", "fetch-package"],
            "env": [
                { "name": "SLUICE_PACKAGE_URL", "value": "https://files.example.com/shop/web-2.jar?Signature=geheim$$(A)" },
                { "name": "SLUICE_PACKAGE_FOLDER", "value": "/home/admin/app" },
                { "name": "SLUICE_PACKAGE_HOSTS", "value": "*" },
                { "name": "SLUICE_PACKAGE_FILE", "value": "web-2.jar" },
            ],
            "volumeMounts": [{ "name": "sluice-package", "mountPath": "/home/admin/app" }],
            "resources": {},
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
        })
    );
    assert_eq!(template["spec"]["initContainers"][0], base()["spec"]["initContainers"][0]);
    assert_eq!(
        template["spec"]["volumes"],
        json!([{ "name": "data", "emptyDir": {} }, { "name": "sluice-package", "emptyDir": {} }])
    );
    let container = web(&template);
    assert_eq!(container["image"], "jdk:8");
    assert_eq!(
        container["volumeMounts"][1],
        json!({ "name": "sluice-package", "mountPath": "/home/admin/app" })
    );
    let command = command(&template);
    assert_eq!(
        (&command[..2], &command[3..]),
        (&["sh", "-c"][..], &["sluice", "", "/home/admin/app/web-2.jar"][..])
    );
    assert_eq!(container.get("args"), None, "the image's arguments are not the program's");
    assert_eq!(template["spec"]["containers"][0], base()["spec"]["containers"][0]);
    assert_eq!(
        (&template["spec"]["futureField"], &template["metadata"]["annotations"]["note"]),
        (&json!({ "x": 1 }), &json!("kept"))
    );
}

#[test]
fn only_the_variable_of_the_init_container_holds_what_is_secret() {
    let mut template = released(&base(), jar());
    template["spec"]["initContainers"][1]["env"][0] = Value::Null;
    assert!(!template.to_string().contains("geheim"));
    assert_eq!(
        Running::of(&released(&base(), jar())).unwrap().url,
        "https://files.example.com/shop/web-2.jar"
    );
}

#[test]
fn a_war_gets_a_configuration_of_its_own() {
    let template = released(&base(), war());
    assert_eq!(web(&template)["image"], "tomcat:9");
    assert_eq!(command(&template)[3..], ["sluice", "", "/home/admin/app/server.xml"]);
    assert_eq!(variable(&template, FILE_VARIABLE), Some("webapps/web.war"));
    let config = variable(&template, SERVER_XML_VARIABLE).unwrap();
    for part in [
        r#"port="8080""#,
        r#"maxThreads="400""#,
        r#"URIEncoding="ISO-8859-1""#,
        r#"useBodyEncodingForURI="false""#,
    ] {
        assert!(config.contains(part), "{part} in {config}");
    }
}

#[rstest]
#[case(WebContext::War, "webapps/web.war")]
#[case(WebContext::Root, "webapps/ROOT.war")]
#[case(WebContext::Custom("a/b".into()), "webapps/a#b.war")]
fn the_context_is_the_files_name(#[case] context: WebContext, #[case] file: &str) {
    let first = released(&base(), war());
    let settings = Web {
        context,
        http_port: 8088,
        max_threads: 10,
        uri_encoding: "UTF-8".into(),
        use_body_encoding: true,
    };
    let template =
        released(&first, JavaChange { web: Field::Set(settings.clone()), ..JavaChange::default() });
    assert_eq!(variable(&template, FILE_VARIABLE), Some(file));
    assert_eq!(variable(&template, SERVER_XML_VARIABLE), Some(server_xml(&settings).as_str()));
    let kept = released(
        &template,
        JavaChange { uri_encoding: Some("GBK".into()), ..JavaChange::default() },
    );
    assert_eq!(Running::of(&kept).unwrap().web, Web { uri_encoding: "GBK".into(), ..settings });
    let cleared = released(&kept, JavaChange { web: Field::Clear, ..JavaChange::default() });
    assert_eq!(plain(cleared), plain(first));
}

#[test]
fn options_of_the_jvm_are_set_kept_and_cleared() {
    let set = JavaChange {
        jvm_options: Field::Set("-Xmx1g -Xlog:gc-${POD_IP}-$(date).log".into()),
        ..JavaChange::default()
    };
    let first = released(&base(), jar());
    let template = released(&first, set);
    assert_eq!(command(&template)[4], "-Xmx1g -Xlog:gc-$${POD_IP}-$$(date).log");
    let next = released(&template, JavaChange { package: jar().package, ..jar() });
    assert_eq!(command(&next)[4], command(&template)[4], "absent keeps");
    let cleared =
        released(&template, JavaChange { jvm_options: Field::Clear, ..JavaChange::default() });
    assert_eq!(plain(cleared), plain(first));
}

#[test]
fn the_init_container_has_the_applications_amounts_and_user_but_not_its_rights() {
    let mut base = base();
    base["spec"]["containers"][1]["resources"] =
        json!({ "limits": { "cpu": "1" }, "claims": [{ "name": "gpu" }] });
    base["spec"]["containers"][1]["securityContext"] = json!({ "privileged": true, "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" }, "capabilities": { "add": ["SYS_ADMIN"] } });
    let change =
        SpecChange { memory_limit: Some(128), java: Box::new(jar()), ..SpecChange::default() };
    let template = change.apply(&base, "web", ReleaseId::new());
    let fetcher = fetcher_of(&template).unwrap();
    assert_eq!(fetcher["resources"], json!({ "limits": { "cpu": "1", "memory": "128Mi" } }));
    assert_eq!(
        fetcher["securityContext"],
        json!({
            "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
            "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" },
        })
    );
}

#[test]
fn a_callers_command_stays_and_its_arguments_go_to_the_program() {
    let own = SpecChange {
        command: Field::Set(vec!["sleep".into()]),
        args: Field::Set(vec!["1".into()]),
        java: Box::new(jar()),
        ..SpecChange::default()
    };
    let template = own.apply(&base(), "web", ReleaseId::new());
    assert_eq!((command(&template), &web(&template)["args"]), (vec!["sleep"], &json!(["1"])));
    let next = released(&template, jar());
    assert_eq!(command(&next), ["sleep"], "absent keeps");
    let cleared = SpecChange { command: Field::Clear, ..SpecChange::default() }.apply(
        &next,
        "web",
        ReleaseId::new(),
    );
    assert_eq!(command(&cleared)[0], "sh", "the package's own start command is back");
    assert_eq!(web(&cleared)["args"], json!(["1"]));
    let image = imaged(&cleared);
    assert_eq!((&web(&image)["command"], &web(&image)["args"]), (&json!(["run"]), &json!(["1"])));
}

#[test]
fn a_tag_alone_does_not_touch_the_runtime_image() {
    let change = SpecChange { image_tag: Some("9".into()), ..SpecChange::default() };
    let template = change.apply(&released(&base(), jar()), "web", ReleaseId::new());
    assert_eq!(web(&template)["image"], "jdk:8");
}

#[test]
fn another_runtime_alone_keeps_the_package() {
    let runtime =
        Runtime { jdk: "Open JDK 17".into(), web_container: None, image: "jdk:17".into() };
    let template = released(
        &released(&base(), jar()),
        JavaChange { runtime: Some(runtime), ..JavaChange::default() },
    );
    assert_eq!(web(&template)["image"], "jdk:17");
    assert!(variable(&template, URL_VARIABLE).unwrap().contains("geheim"));
}

#[test]
fn settings_of_a_package_change_nothing_in_a_template_of_an_image() {
    let change = JavaChange {
        jvm_options: Field::Set("-Xmx1g".into()),
        web: Field::Set(Web::default()),
        ..JavaChange::default()
    };
    assert_eq!(plain(released(&base(), change)), base());
}

#[test]
fn what_the_api_server_fills_in_does_not_hinder() {
    let mut template = released(&base(), war());
    template["spec"]["initContainers"][1]["terminationMessagePath"] = json!("/dev/termination-log");
    template["spec"]["initContainers"][1]["resources"] = json!({});
    let next = released(
        &template,
        JavaChange { jvm_options: Field::Set("-Xmx1g".into()), ..JavaChange::default() },
    );
    assert_eq!(command(&next)[4], "-Xmx1g");
    assert_eq!(next["spec"]["initContainers"].as_array().unwrap().len(), 2);
    assert_eq!(plain(imaged(&next)), base());
}

#[test]
fn an_order_stored_before_there_were_packages_is_still_read() {
    let stored =
        serde_json::to_value(SpecChange { image: Some("a".into()), ..SpecChange::default() })
            .unwrap();
    assert_eq!(
        stored.get("java"),
        None,
        "and one of an image is read by a program that knows none"
    );
    assert_eq!(
        serde_json::from_value::<SpecChange>(json!({ "image": "a" })).unwrap().java,
        Box::default()
    );
    let change = SpecChange { java: Box::new(war()), ..SpecChange::default() };
    assert_eq!(
        serde_json::from_value::<SpecChange>(serde_json::to_value(&change).unwrap()).unwrap(),
        change
    );
    assert!(
        !format!("{:?}", SpecChange { java: Box::new(jar()), ..SpecChange::default() })
            .contains("geheim")
    );
}

fn any_change() -> impl Strategy<Value = JavaChange> {
    let options = prop_oneof![
        Just(Field::Keep),
        Just(Field::Clear),
        "[-a-zA-Z$() ]{1,12}".prop_map(Field::Set)
    ];
    let web = prop_oneof![
        Just(Field::Keep),
        Just(Field::Clear),
        (1024..9999_u16).prop_map(|http_port| Field::Set(Web {
            http_port,
            context: WebContext::Root,
            ..Web::default()
        })),
    ];
    let package = prop_oneof![Just(JavaChange::default()), Just(jar()), Just(war())];
    (package, options, web, any::<Option<bool>>()).prop_map(
        |(package, jvm_options, web, use_body_encoding)| JavaChange {
            jvm_options,
            web,
            use_body_encoding,
            ..package
        },
    )
}

proptest! {
    #[test]
    fn a_return_to_the_image_takes_out_exactly_what_was_put_in(changes in prop::collection::vec(any_change(), 0..5), has_more: bool) {
        let base = if has_more { base() } else { bare() };
        let mut template = base.clone();
        for change in changes {
            template = released(&template, change);
        }
        prop_assert_eq!(plain(imaged(&template)), base);
    }

    #[test]
    fn a_change_made_twice_is_a_change_made_once(before in any_change(), change in any_change()) {
        let first = released(&released(&base(), before), change.clone());
        prop_assert_eq!(plain(released(&first, change)), plain(first));
    }

    #[test]
    fn what_runs_is_what_the_template_says(changes in prop::collection::vec(any_change(), 1..5)) {
        let mut template = base();
        let mut last = None;
        for change in changes {
            if let Some(package) = &change.package {
                last = Some(package.url.to_string());
            }
            template = released(&template, change);
        }
        prop_assert_eq!(Running::of(&template).map(|running| running.url), last.clone());
        if last.is_some() {
            let running = Running::of(&template).unwrap();
            prop_assert!(running.starts(web(&template)));
            let file = start::file(&running);
            prop_assert_eq!(variable(&template, FILE_VARIABLE), Some(file.as_str()));
        }
    }
}
