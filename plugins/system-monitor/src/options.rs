//! What a person may set.

use std::time::Duration;

use gatehouse_plugin_api::Settings;

/// How often to measure, and what.
#[derive(Debug, Clone, PartialEq, Settings)]
pub struct Options {
    /// How often to measure
    #[setting(default = "5s", range = "500ms"..="1h")]
    pub interval: Duration,
    /// Processor: use and load
    #[setting(default = true)]
    pub processor: bool,
    /// Each core of the processor alone
    #[setting(default = false)]
    pub each_core: bool,
    /// Memory and swap
    #[setting(default = true)]
    pub memory: bool,
    /// Disks: used and free space
    #[setting(default = true)]
    pub disks: bool,
    /// Only these disks
    ///
    /// Mount points separated by commas, such as `/, /home`. All of them when empty.
    pub only_disks: Option<String>,
    /// Network: traffic of each interface
    #[setting(default = true)]
    pub network: bool,
    /// Only these interfaces
    ///
    /// Names separated by commas, such as `eth0, wlan0`. When empty, all that had any traffic, without the loopback.
    pub only_interfaces: Option<String>,
    /// Temperatures, where the machine has sensors
    #[setting(default = true)]
    pub temperatures: bool,
}

/// Whether a list of the options names `item`; `None` when there is no list.
pub(crate) fn listed(list: Option<&str>, item: &str) -> Option<bool> {
    let mut names = list?.split(',').map(str::trim).filter(|name| !name.is_empty()).peekable();
    names.peek()?;
    Some(names.any(|name| name == item))
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn an_empty_list_is_none() {
        assert_eq!(listed(None, "/"), None);
        assert_eq!(listed(Some(" , "), "/"), None);
        assert_eq!(listed(Some("/, /home"), "/home"), Some(true));
        assert_eq!(listed(Some("/, /home"), "/hom"), Some(false));
    }
}
