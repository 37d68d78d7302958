//! Sends log lines to standard error, in the form that the configuration asks for.

use std::io::{IsTerminal, stderr};

use dsqlstate::config::{LogConfig, LogFormat};
use tracing_subscriber::EnvFilter;

/// Starts logging. An embedded library never does this; only the command does.
pub(crate) fn start(config: &LogConfig) {
    // What these two tell at info is said by our own lines; the configuration may ask for it anyway.
    let filter = EnvFilter::new(format!("actix_server=warn,tokio_postgres=warn,{}", config.level));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    match config.format {
        LogFormat::Json => lines.json().init(),
        LogFormat::Human => {
            let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            lines.with_ansi(stderr().is_terminal() && !no_color).init();
        }
    }
}
