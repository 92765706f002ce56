use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

fn nothing(_: &str) -> Option<String> {
    None
}

fn at(directory: &tempfile::TempDir) -> Source {
    Source { prefix: directory.path().to_owned(), file: None }
}

/// A directory with this `conf/config.yaml`.
fn with(text: &str) -> (tempfile::TempDir, Source, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("conf")).unwrap();
    let (source, path) = (at(&directory), directory.path().join("conf/config.yaml"));
    fs::write(&path, text).unwrap();
    (directory, source, path)
}

fn only_key(config: &Config) -> String {
    let keys = config.admin.as_ref().unwrap().keys.as_ref().unwrap();
    assert_eq!(keys.len(), 1);
    keys[0].key.clone()
}

fn key_in(path: &Path) -> String {
    let table = yaml::parse(&fs::read_to_string(path).unwrap()).unwrap();
    serde_json::Value::Object(table).pointer("/deployment/admin/admin_key/0/key").unwrap().as_str().unwrap().to_owned()
}

#[test]
fn a_first_start_writes_a_private_file_with_a_key() {
    let directory = tempfile::tempdir().unwrap();
    let config = load(&at(&directory), &nothing).unwrap();
    let path = directory.path().join("conf/config.yaml");
    let key = key_in(&path);
    assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_alphabetic()));
    assert_eq!(only_key(&config), key);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);

    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.replace(&key, ""), FIRST, "nothing but the key differs from the template");
    assert_eq!(only_key(&load(&at(&directory), &nothing).unwrap()), key, "a second start keeps the key");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert_eq!(check(&at(&directory), &nothing).unwrap(), path);
}

/// The documented way to fetch the key. Skipped where `yq` is not installed.
#[test]
fn yq_and_sed_print_exactly_the_key() {
    let installed = Command::new("yq").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !installed.is_ok_and(|status| status.success()) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let key = only_key(&load(&at(&directory), &nothing).unwrap());
    let line = "yq '.deployment.admin.admin_key[0].key' conf/config.yaml | sed 's/\"//g'";
    let output = Command::new("sh").args(["-c", line]).current_dir(directory.path()).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{key}\n"));
}

#[test]
fn an_empty_key_is_written_back_in_place() {
    let text = "# mine\napisix:\n  node_listen: 9081 # port\ndeployment:\n  admin:\n    admin_key:\n      - name: admin\n        key: ''\n        role: admin\n";
    let (_directory, source, path) = with(text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let key = only_key(&load(&source, &nothing).unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), text.replace("''", &format!("'{key}'")));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_file_without_keys_gets_one() {
    for text in ["", "# nothing yet\n", "apisix: {node_listen: 9081}\n"] {
        let (_directory, source, path) = with(text);
        let key = only_key(&load(&source, &nothing).unwrap());
        assert!(fs::read_to_string(&path).unwrap().starts_with(text), "{text:?}");
        assert_eq!(key_in(&path), key, "{text:?}");
    }
}

#[test]
fn nothing_is_written_when_something_is_wrong() {
    let blank = "deployment: {admin: {admin_key: [{key: '', role: admin}]}}\n";
    let cases = [
        ("apisix: [", "is not valid YAML: "),
        (
            "apisix: {enable_admin: 'yes'}\n",
            "failed to merge, path[apisix->enable_admin] expect: boolean, but got: string",
        ),
        (&format!("{blank}plugins: 1\n"), "plugins"),
        (&format!("{blank}apisix: {{node_listen: '${{{{NONE}}}}'}}\n"), "failed to handle configuration: can't find"),
        (
            "deployment: {admin: {admin_key: [{key: '${{E:=}}', role: admin}]}}\n",
            "deployment.admin.admin_key: cannot write",
        ),
    ];
    for (text, want) in cases {
        let (_directory, source, path) = with(text);
        let error = load(&source, &nothing).unwrap_err().to_string();
        let told = error.strip_prefix(&format!("{}: ", path.display())).unwrap_or_default();
        assert!(!error.contains('\n') && (told.starts_with(want) || told.contains(want)), "{text}: {error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "{text}");
    }
}

#[test]
fn a_named_file_or_profile_that_does_not_exist_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let named = Source { file: Some(directory.path().join("other.yaml")), ..at(&directory) };
    let profiled = |name: &str| (name == "APISIX_PROFILE").then(|| "dev".to_owned());
    let want = |file: &str| format!("{}: does not exist", directory.path().join(file).display());
    assert_eq!(load(&named, &nothing).unwrap_err().to_string(), want("other.yaml"));
    assert_eq!(load(&at(&directory), &profiled).unwrap_err().to_string(), want("conf/config-dev.yaml"));
    assert_eq!(check(&at(&directory), &nothing).unwrap_err().to_string(), want("conf/config.yaml"));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_file_that_cannot_be_written_stops_the_start() {
    let (_directory, source, path) = with("# no key\n");
    // A directory in the place of the temporary file fails for every user, root included.
    let temporary = path.with_file_name(format!("config.yaml.{}.tmp", std::process::id()));
    fs::create_dir(&temporary).unwrap();
    let error = load(&source, &nothing).unwrap_err().to_string();
    assert!(error.contains("config.yaml: cannot be written: "), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "# no key\n");
}

#[test]
fn a_check_writes_nothing_and_lets_no_key_pass_unused() {
    let (_directory, source, path) = with("colour: 1\napisix: {hue: 2}\n");
    let error = check(&source, &nothing).unwrap_err().to_string();
    let want = format!("{}: apisix.hue is not a known key; colour is not a known key", path.display());
    assert_eq!(error, want);
    assert_eq!(load(&source, &nothing).unwrap().warnings.len(), 2);

    let (_directory, source, path) = with("# no key\n");
    assert_eq!(check(&source, &nothing).unwrap(), path);
    assert_eq!(fs::read_to_string(&path).unwrap(), "# no key\n");
}
