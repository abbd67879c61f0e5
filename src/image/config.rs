//! Stage 7: the config of one image. The base's config, the plan's edits and the layers in, a config out. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Layer;
use crate::manifest::{EnvEdit, Healthcheck};
use crate::oci;
use crate::oci::History;
use crate::plan::ImagePlan;

/// What a container starts with: the base's with the plan's edits.
pub fn settings(base: &oci::Image, plan: &ImagePlan, user: &str) -> oci::Config {
    let mut config = edited(base, plan);
    config.user = user.to_string();
    config.env = env(std::mem::take(&mut config.env), &plan.config.env);
    config
}

/// The base's config with the plan's edits; nothing else of the base changes.
pub fn config(base: &oci::Image, plan: &ImagePlan, user: &str, layers: &[Layer], created: &str) -> oci::Image {
    let mut image = base.clone();
    if image.architecture.is_empty() {
        image.os = plan.platform.os.clone();
        image.architecture = plan.platform.arch.clone();
        image.variant = plan.platform.variant.clone();
    }
    image.created = Some(created.to_string());
    image.config = settings(base, plan, user);
    image.rootfs.kind = "layers".into();
    image.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    history(&mut image.history, layers, created);
    image
}

/// The base's config with the plan's edits, but for user and environment.
pub fn edited(base: &oci::Image, plan: &ImagePlan) -> oci::Config {
    let mut config = base.config.clone();
    unset(&mut config, plan);
    set(&mut config, plan);
    config
}

fn unset(config: &mut oci::Config, plan: &ImagePlan) {
    for edit in &plan.config.unset {
        match (edit.field.as_str(), &edit.key) {
            ("cmd", _) => config.cmd.clear(),
            ("entrypoint", _) => config.entrypoint.clear(),
            ("user", _) => config.user.clear(),
            ("workdir", _) => config.working_dir.clear(),
            ("stop-signal", _) => config.stop_signal.clear(),
            ("healthcheck", _) => drop(config.rest.remove("Healthcheck")),
            ("onbuild", _) => drop(config.rest.remove("OnBuild")),
            ("shell", _) => drop(config.rest.remove("Shell")),
            ("env", None) => config.env.clear(),
            ("env", Some(key)) => config.env.retain(|pair| name(pair) != key),
            ("labels", None) => config.labels.clear(),
            ("labels", Some(key)) => drop(config.labels.remove(key)),
            ("ports", key) => drop_key(&mut config.exposed_ports, key.as_ref()),
            ("volumes", key) => drop_key(&mut config.volumes, key.as_ref()),
            _ => {}
        }
    }
}

fn drop_key(map: &mut BTreeMap<String, Value>, key: Option<&String>) {
    map.retain(|known, _| key.is_some_and(|key| key != known));
}

fn set(config: &mut oci::Config, plan: &ImagePlan) {
    let written = &plan.config;
    if let Some(entrypoint) = &written.entrypoint {
        config.entrypoint = entrypoint.words.clone();
        config.cmd.clear();
    }
    if let Some(cmd) = &written.cmd {
        config.cmd = cmd.words.clone();
    }
    if let Some(workdir) = &written.workdir {
        config.working_dir = workdir.clone();
    }
    if let Some(signal) = &written.stop_signal {
        config.stop_signal = signal.clone();
    }
    if let Some(check) = &written.healthcheck {
        config.rest.insert("Healthcheck".into(), healthcheck(check));
    }
    config.exposed_ports.extend(written.ports.iter().map(|port| (port.clone(), json!({}))));
    config.volumes.extend(written.volumes.iter().map(|volume| (volume.clone(), json!({}))));
    config.labels.extend(written.labels.clone());
}

/// A check of health as Docker's config has it.
fn healthcheck(check: &Healthcheck) -> Value {
    let words = ["CMD"].into_iter().chain(check.command.words.iter().map(String::as_str));
    let mut value = json!({ "Test": words.collect::<Vec<_>>() });
    for (name, span) in &check.spans {
        value[*name] = json!(span);
    }
    if let Some(retries) = check.retries {
        value["Retries"] = json!(retries);
    }
    value
}

fn name(pair: &str) -> &str {
    pair.split('=').next().unwrap_or(pair)
}

/// The base's variables keep their order; new ones follow by name.
fn env(base: Vec<String>, edits: &BTreeMap<String, EnvEdit>) -> Vec<String> {
    let mut edits = edits.clone();
    let mut all: Vec<String> = Vec::new();
    // Of a variable that the base names twice the last value counts; one that is edited then stands once.
    let last: BTreeMap<String, String> = base
        .iter()
        .filter(|pair| edits.contains_key(name(pair)))
        .map(|pair| (name(pair).to_string(), pair.split_once('=').map_or("", |(_, value)| value).to_string()))
        .collect();
    for pair in base {
        match (last.get(name(&pair)), edits.remove(name(&pair))) {
            (None, _) => all.push(pair),
            (Some(old), Some(edit)) => all.push(format!("{}={}", name(&pair), join(old, &edit))),
            (Some(_), None) => {}
        }
    }
    all.extend(edits.iter().map(|(name, edit)| format!("{name}={}", join("", edit))));
    all
}

fn join(old: &str, edit: &EnvEdit) -> String {
    match edit {
        EnvEdit::Set(value) => value.clone(),
        EnvEdit::Prepend(value) | EnvEdit::Append(value) if old.is_empty() => value.clone(),
        EnvEdit::Prepend(value) => format!("{value}:{old}"),
        EnvEdit::Append(value) => format!("{old}:{value}"),
    }
}

/// One entry for each own layer; a base whose history does not tell all its layers is filled up, so that the counts agree.
fn history(history: &mut Vec<History>, layers: &[Layer], created: &str) {
    let base = layers.iter().filter(|layer| layer.name.is_none()).count();
    let told = history.iter().filter(|entry| !entry.empty_layer).count();
    history.extend((told..base).map(|_| History { created_by: Some("base layer".into()), ..History::default() }));
    history.extend(layers.iter().filter_map(|layer| layer.name.as_ref()).map(|name| History {
        created: Some(created.to_string()),
        created_by: Some(format!("stillframe: {name}")),
        ..History::default()
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_join_the_base() {
        let edits = BTreeMap::from([
            ("PATH".to_string(), EnvEdit::Prepend("/app/bin".into())),
            ("B".to_string(), EnvEdit::Set("2".into())),
            ("NEW".to_string(), EnvEdit::Append("x".into())),
            ("A".to_string(), EnvEdit::Append("z".into())),
        ]);
        let base = ["PATH=/sbin", "B=1=1", "KEEP", "A=y", "PATH=/bin", "KEEP=2"].map(str::to_string).to_vec();
        assert_eq!(env(base, &edits), ["PATH=/app/bin:/bin", "B=2", "KEEP", "A=y:z", "KEEP=2", "NEW=x"]);
    }
}
