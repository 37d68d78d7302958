//! How a subcommand fails.

use std::{error::Error, process::ExitCode};

use dsqlstate::{config::ConfigError, error::OneLine};

/// Why a subcommand did not do what it was asked.
#[derive(Debug)]
pub(crate) enum CliError {
    /// The configuration is refused.
    Config(ConfigError),
    /// What the arguments name is of no use.
    Usage(Box<dyn Error>),
    /// It was tried and did not work.
    Failed(Box<dyn Error>),
    /// What is wrong has been printed already.
    Reported,
}

impl CliError {
    /// For `map_err`.
    pub(crate) fn failed(error: impl Error + 'static) -> Self {
        Self::Failed(Box::new(error))
    }

    /// Prints the error with its causes on one line.
    #[allow(clippy::print_stderr)] // The one place that does.
    pub(crate) fn report(&self) {
        match self {
            Self::Config(error) => eprintln!("dsqlstate: error: {}", OneLine(error)),
            Self::Usage(error) | Self::Failed(error) => {
                eprintln!("dsqlstate: error: {}", OneLine(error.as_ref()))
            }
            Self::Reported => {}
        }
    }

    /// 2 when usage or configuration is wrong, otherwise 1.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) | Self::Reported => ExitCode::FAILURE,
        }
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}
