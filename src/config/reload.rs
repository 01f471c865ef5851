//! What of a configuration a running daemon takes when it is read again, and what waits for the next start.

use super::Config;

/// Keeps what `running` has, and names the key if the file says something else.
fn keep<T: PartialEq + Clone>(key: &'static str, running: &T, read: &mut T, waiting: &mut Vec<&'static str>) {
    if running != read {
        read.clone_from(running);
        waiting.push(key);
    }
}

impl Config {
    /// What a daemon that started with `running` takes of this one, and the keys that it takes at its next start: those of sockets,
    /// disk, signing keys and recurring jobs, and those that stand in mails already sent.
    #[must_use]
    pub fn taken_over(mut self, running: &Self) -> (Self, Vec<&'static str>) {
        let mut waiting = Vec::new();
        let w = &mut waiting;
        keep("service.domain", &running.service.domain, &mut self.service.domain, w);
        keep("service.base_url", &running.service.base_url, &mut self.service.base_url, w);
        keep("service.data_dir", &running.service.data_dir, &mut self.service.data_dir, w);
        keep("service.timezone", &running.service.timezone, &mut self.service.timezone, w);
        keep("store", &running.store, &mut self.store, w);
        keep("listen", &running.listen, &mut self.listen, w);
        keep("web", &running.web, &mut self.web, w);
        keep("relay", &running.relay, &mut self.relay, w);
        keep("senders.nameserver", &running.senders.nameserver, &mut self.senders.nameserver, w);
        keep("dkim", &running.dkim, &mut self.dkim, w);
        keep("directory", &running.directory, &mut self.directory, w);
        keep("oidc", &running.oidc, &mut self.oidc, w);
        keep("schedule", &running.schedule, &mut self.schedule, w);
        // Of the limits, those that listeners, delivery and store were started with.
        let (old, new) = (&running.limits, &mut self.limits);
        keep("limits.message_size", &old.message_size, &mut new.message_size, w);
        keep("limits.header_size", &old.header_size, &mut new.header_size, w);
        keep("limits.header_fields", &old.header_fields, &mut new.header_fields, w);
        keep("limits.mime_depth", &old.mime_depth, &mut new.mime_depth, w);
        keep("limits.mime_parts", &old.mime_parts, &mut new.mime_parts, w);
        keep("limits.recipients", &old.recipients, &mut new.recipients, w);
        keep("limits.session_errors", &old.session_errors, &mut new.session_errors, w);
        keep("limits.session_commands", &old.session_commands, &mut new.session_commands, w);
        keep("limits.greeting_timeout", &old.greeting_timeout, &mut new.greeting_timeout, w);
        keep("limits.command_timeout", &old.command_timeout, &mut new.command_timeout, w);
        keep("limits.data_timeout", &old.data_timeout, &mut new.data_timeout, w);
        keep("limits.sessions", &old.sessions, &mut new.sessions, w);
        keep("limits.sessions_trusted_network", &old.sessions_trusted_network, &mut new.sessions_trusted_network, w);
        keep("limits.sessions_network", &old.sessions_network, &mut new.sessions_network, w);
        keep("limits.retry_for", &old.retry_for, &mut new.retry_for, w);
        keep("limits.free_disk", &old.free_disk, &mut new.free_disk, w);
        (self, waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_bound_at_the_start_stays_and_is_named() {
        let running = Config::default();
        let mut read = Config::default();
        read.service.name = "Other".into();
        read.service.log = "debug".into();
        read.limits.robot_mail += 1;
        assert_eq!(read.clone().taken_over(&running), (read.clone(), vec![]));
        let wanted = read.clone();
        read.service.domain = "other.example.org".into();
        read.limits.sessions += 1;
        read.web.address = "127.0.0.1:1".parse().unwrap();
        assert_eq!(read.taken_over(&running), (wanted, vec!["service.domain", "web", "limits.sessions"]));
    }
}
