//! The settings that the program reads from its environment, through a lookup function.

use mercurio_domain::tenant::Name;
use mercurio_storage::DatabaseUrl;

/// A lookup of settings by name.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The database; the one in `data/` where nothing is set. What is wrong goes to `invalid`, and never holds a password.
pub fn database_url(setting: Lookup<'_>, invalid: &mut Vec<String>) -> Option<DatabaseUrl> {
    let url = mercurio_config::database_url(setting);
    url.map_err(|error| invalid.extend(error.0.iter().map(ToString::to_string))).ok()
}

/// The names of the tenant and the workspace to seed. What is wrong goes to `invalid`.
pub fn seed_names(setting: Lookup<'_>, invalid: &mut Vec<String>) -> Option<(Name, Name)> {
    let tenant = match setting("SEED_TENANT_NAME") {
        Some(text) => name("SEED_TENANT_NAME", &text, invalid),
        None => {
            invalid.push("SEED_TENANT_NAME is not set: it names the tenant to make".to_owned());
            None
        }
    };
    let workspace =
        setting("SEED_WORKSPACE_NAME").unwrap_or_else(|| crate::cli::DEFAULT_WORKSPACE.to_owned());
    let workspace = name("SEED_WORKSPACE_NAME", &workspace, invalid);
    tenant.zip(workspace)
}

/// Reads a name; what is wrong goes to `invalid`, with `place`.
pub(crate) fn name(place: &str, text: &str, invalid: &mut Vec<String>) -> Option<Name> {
    Name::parse(text).map_err(|error| invalid.push(format!("{place}: {error}"))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(settings: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        |name| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn without_a_setting_the_database_is_a_file_in_data() {
        let mut invalid = Vec::new();
        let url = database_url(&lookup(&[]), &mut invalid).unwrap();
        assert_eq!((url.to_string().as_str(), invalid.len()), ("sqlite://data/mercurio.db", 0));
    }

    #[test]
    fn a_wrong_url_is_told_without_its_password() {
        for url in
            ["", "mysql://u:hunter2@h/d", "postgres://u:hunter2@h:x/d", "postgres://u:hunter2@[h/d"]
        {
            let mut invalid = Vec::new();
            assert_eq!(
                database_url(
                    &|name| (name == "DATABASE_URL").then(|| url.to_owned()),
                    &mut invalid
                ),
                None,
                "{url}"
            );
            assert!(
                invalid[0].starts_with("DATABASE_URL: ") && !invalid[0].contains("hunter2"),
                "{invalid:?}"
            );
        }
    }

    #[test]
    fn every_mistake_is_told() {
        let mut invalid = Vec::new();
        assert_eq!(seed_names(&lookup(&[("SEED_WORKSPACE_NAME", " ")]), &mut invalid), None);
        assert_eq!(invalid.len(), 2, "{invalid:?}");
        let mut invalid = Vec::new();
        let (_, workspace) =
            seed_names(&lookup(&[("SEED_TENANT_NAME", "Acme")]), &mut invalid).unwrap();
        assert_eq!(workspace.as_str(), "Default");
    }
}
