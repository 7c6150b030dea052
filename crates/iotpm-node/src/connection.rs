//! Connections to the broker: options, reconnection for ever, one runtime a thread.

use std::{
    num::NonZeroU32,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::{Client, ConnectOptions, Event};
use serde::Deserialize;
use tokio::sync::Notify;

use crate::stream_error::{StreamError, StreamResult};

/// Silence after which a link counts as dead, unless the options say otherwise.
const LINK_TIMEOUT: Duration = Duration::from_secs(12);
/// The client gives a connection up when it would send one ping more than this without an answer to any.
const PINGS_UNANSWERED: u32 = 3;
/// How long one request may take before it counts as failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait between two attempts to reconnect.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(2);
/// Messages that may wait for a subscriber; more than any reader here ever has outstanding.
pub(crate) const SUBSCRIPTION_CAPACITY: usize = 65_536;

/// Where the broker is and who we are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionOptions {
    /// Server URL or several, separated by commas; `nats://` or `tls://`, with `user:password@` if need be.
    pub url: String,
    /// File with a user JWT and its seed.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
    /// File with an nkey seed.
    #[serde(default)]
    pub nkey_file: Option<PathBuf>,
    /// Certificate authority of the server; giving it requires TLS.
    #[serde(default)]
    pub tls_ca: Option<PathBuf>,
    /// Client certificate, together with `tls_key`.
    #[serde(default)]
    pub tls_cert: Option<PathBuf>,
    /// Its key.
    #[serde(default)]
    pub tls_key: Option<PathBuf>,
    /// Whole seconds of silence after which a link counts as dead; default 12.
    #[serde(default)]
    pub link_timeout_s: Option<NonZeroU32>,
}

/// What happened to a connection so far.
#[derive(Debug, Default)]
pub struct ConnectionCounters {
    /// Times the connection was lost.
    pub disconnects: AtomicU64,
    /// Wakes whoever must start over after a reconnection.
    pub(crate) reconnected: Notify,
    /// Messages dropped because a subscriber's queue was full; the contiguity check finds and repairs them.
    pub dropped: AtomicU64,
}

/// A client, the name of its server for messages, and what happened to it.
#[derive(Clone)]
pub struct Connection {
    /// The client.
    pub client: Client,
    /// The URL without secrets.
    pub server: Arc<str>,
    /// Silence after which the link counts as dead.
    pub link_timeout: Duration,
    /// What happened so far.
    pub counters: Arc<ConnectionCounters>,
}

impl ConnectionOptions {
    /// Reads options from JSON; unknown keys are errors.
    ///
    /// # Errors
    /// [`StreamError::InvalidOption`] with the parser's words.
    pub fn from_json(json: &str) -> StreamResult<Self> {
        serde_json::from_str(json).map_err(|error| invalid("connection", &json, &error))
    }

    /// The URL without user and password.
    #[must_use]
    pub fn server_name(&self) -> String {
        self.url.split(',').map(without_secrets).collect::<Vec<_>>().join(",")
    }

    /// Connects; afterwards the client reconnects by itself, for ever.
    ///
    /// # Errors
    /// [`StreamError::Connect`] if the server cannot be reached now, [`StreamError::InvalidOption`] for a bad file.
    pub async fn connect(&self, client_name: &str) -> StreamResult<Connection> {
        let counters = Arc::new(ConnectionCounters::default());
        let server: Arc<str> = self.server_name().into();
        let options = self.client_options(client_name, Arc::clone(&counters)).await?;
        let addresses: Vec<String> = self.url.split(',').map(|url| url.trim().to_owned()).collect();
        let refused = |error: &dyn std::fmt::Display| StreamError::Connect {
            server: server.to_string(),
            reason: error.to_string(),
        };
        let client = options.connect(addresses).await.map_err(|error| refused(&error))?;
        Ok(Connection { client, server, link_timeout: self.link_timeout(), counters })
    }

    fn link_timeout(&self) -> Duration {
        self.link_timeout_s.map_or(LINK_TIMEOUT, |seconds| Duration::from_secs(seconds.get().into()))
    }

    async fn client_options(&self, name: &str, counters: Arc<ConnectionCounters>) -> StreamResult<ConnectOptions> {
        let mut options = ConnectOptions::new()
            .name(name)
            .ping_interval(self.link_timeout() / PINGS_UNANSWERED)
            .request_timeout(Some(REQUEST_TIMEOUT))
            .subscription_capacity(SUBSCRIPTION_CAPACITY)
            .max_reconnects(None)
            .reconnect_delay_callback(reconnect_delay)
            .read_buffer_capacity(u16::MAX)
            .event_callback(move |event| count(&counters, &event));
        if let Some(path) = &self.credentials_file {
            let refused = |error| invalid("credentials_file", &path.display(), &error);
            options = options.credentials_file(path).await.map_err(refused)?;
        }
        if let Some(path) = &self.nkey_file {
            options = options.nkey(read_seed(path)?);
        }
        if let Some((user, password)) = user_and_password(&self.url) {
            options = options.user_and_password(user, password);
        }
        self.with_tls(options)
    }

    fn with_tls(&self, mut options: ConnectOptions) -> StreamResult<ConnectOptions> {
        if let Some(path) = &self.tls_ca {
            options = options.add_root_certificates(path.clone()).require_tls(true);
        }
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => {
                Ok(options.add_client_certificate(certificate.clone(), key.clone()).require_tls(true))
            }
            (None, None) => Ok(options),
            (Some(path), None) => Err(invalid("tls_cert", &path.display(), &"tls_key is missing")),
            (None, Some(path)) => Err(invalid("tls_key", &path.display(), &"tls_cert is missing")),
        }
    }
}

pub(crate) fn invalid(name: &'static str, value: &dyn ToString, reason: &dyn ToString) -> StreamError {
    StreamError::InvalidOption { name, value: value.to_string(), reason: reason.to_string() }
}

fn read_seed(path: &PathBuf) -> StreamResult<String> {
    let seed = std::fs::read_to_string(path).map_err(|error| invalid("nkey_file", &path.display(), &error))?;
    Ok(seed.trim().to_owned())
}

/// Of the first URL that has them; the client library looks for them in its options only.
fn user_and_password(urls: &str) -> Option<(String, String)> {
    urls.split(',').find_map(|url| {
        let (_, rest) = url.split_once("://").unwrap_or(("", url));
        let (secrets, _) = rest.rsplit_once('@')?;
        let (user, password) = secrets.split_once(':')?;
        Some((user.trim().to_owned(), password.to_owned()))
    })
}

fn without_secrets(url: &str) -> String {
    let url = url.trim();
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

fn reconnect_delay(attempts: usize) -> Duration {
    let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
    Duration::from_millis(50).saturating_mul(attempts).min(RECONNECT_DELAY_MAX)
}

fn count(counters: &ConnectionCounters, event: &Event) -> std::future::Ready<()> {
    match event {
        Event::Disconnected => _ = counters.disconnects.fetch_add(1, Ordering::Relaxed),
        Event::SlowConsumer(_) => _ = counters.dropped.fetch_add(1, Ordering::Relaxed),
        Event::Connected => counters.reconnected.notify_one(),
        _ => {}
    }
    std::future::ready(())
}

/// A single-threaded runtime for the thread that calls it.
///
/// # Errors
/// [`StreamError::Request`] if the system gives no resources for it.
pub(crate) fn runtime() -> StreamResult<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| StreamError::Request {
        server: "local".into(),
        what: "starting a runtime".into(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_never_reach_a_message() {
        let options = ConnectionOptions { url: "nats://joe:s3cret@a:4222, tls://b:1".into(), ..Default::default() };
        assert_eq!(options.server_name(), "nats://a:4222,tls://b:1");
    }

    #[test]
    fn user_and_password_come_from_the_url() {
        let found = user_and_password("nats://a:4222, tls://joe:s3:cret@b:1");
        assert_eq!(found, Some(("joe".to_owned(), "s3:cret".to_owned())));
        assert_eq!(user_and_password("nats://a:4222"), None);
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = ConnectionOptions::from_json(r#"{"url":"nats://a","ulr":1}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `ulr`"), "{error}");
    }

    #[test]
    fn a_link_that_is_silent_for_no_time_is_refused() {
        let timeout = |json: &str| ConnectionOptions::from_json(json).map(|options| options.link_timeout());
        assert_eq!(timeout(r#"{"url":"nats://a"}"#).unwrap(), LINK_TIMEOUT);
        assert_eq!(timeout(r#"{"url":"nats://a","link_timeout_s":3}"#).unwrap(), Duration::from_secs(3));
        assert!(timeout(r#"{"url":"nats://a","link_timeout_s":0}"#).is_err());
    }

    #[test]
    fn certificate_and_key_come_together() {
        let options = ConnectionOptions { tls_cert: Some("c.pem".into()), ..Default::default() };
        let error = options.with_tls(ConnectOptions::new()).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("tls_cert = c.pem: tls_key is missing"));
    }

    #[test]
    fn reconnect_delay_is_bounded() {
        assert_eq!(reconnect_delay(1), Duration::from_millis(50));
        assert_eq!(reconnect_delay(usize::MAX), RECONNECT_DELAY_MAX);
    }
}
