//! Errors as a person reads them: one paragraph with what, where and what to do next, and the documented exit code.

use catalogue::exit_codes;
use validate::analyze::AnalyzeError;
use validate::attest::AttestError;
use validate::explain::ExplainError;
use validate::pipeline::ValidateError;
use validate::profile::ProfileError;
use validate::review::ReviewError;
use validate::watch::monitor::MonitorError;

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    message: String,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn text(&self) -> String {
        format!("assay: {}", self.message)
    }
}

impl From<ProfileError> for Failure {
    fn from(error: ProfileError) -> Self {
        let code = u8::try_from(error.exit_code()).unwrap_or(exit_codes::USAGE);
        // The caret picture where there is one; the sign that opens it stands badly behind `assay: `.
        let text = format!("{:?}", miette::Report::new(error));
        Self::new(code, text.trim_start_matches([' ', '\u{d7}']).trim_end())
    }
}

impl From<ValidateError> for Failure {
    fn from(error: ValidateError) -> Self {
        Self::new(error.exit_code(), error.to_string())
    }
}

impl From<MonitorError> for Failure {
    fn from(error: MonitorError) -> Self {
        let code = match error {
            MonitorError::NoProcess(_) => exit_codes::NOT_FOUND,
            MonitorError::Credentials => exit_codes::USAGE,
            MonitorError::Write(_) | MonitorError::Copy(_) | MonitorError::Http(_) => exit_codes::INTERNAL,
        };
        Self::new(code, error.to_string())
    }
}

impl From<ReviewError> for Failure {
    fn from(error: ReviewError) -> Self {
        let code = match error {
            ReviewError::Empty(_)
            | ReviewError::NoRun { .. }
            | ReviewError::Load(_)
            | ReviewError::NoDecision(_)
            | ReviewError::Manifest(_) => exit_codes::NOT_FOUND,
            ReviewError::Malformed { .. } => exit_codes::DISAGREES,
            ReviewError::Write(_) => exit_codes::INTERNAL,
        };
        Self::new(code, error.to_string())
    }
}

impl From<ExplainError> for Failure {
    fn from(error: ExplainError) -> Self {
        Self::new(exit_codes::NOT_FOUND, error.to_string())
    }
}

impl From<AnalyzeError> for Failure {
    fn from(error: AnalyzeError) -> Self {
        let code = match error {
            AnalyzeError::Read { .. } | AnalyzeError::Nothing { .. } => exit_codes::NOT_FOUND,
            AnalyzeError::RunFolder(_) => exit_codes::USAGE,
            AnalyzeError::Write(_) => exit_codes::INTERNAL,
        };
        Self::new(code, error.to_string())
    }
}

impl From<AttestError> for Failure {
    fn from(error: AttestError) -> Self {
        let code = match error {
            AttestError::Review(error) => return error.into(),
            AttestError::Manifest(_) | AttestError::Load(_) | AttestError::Evidence { .. } => {
                exit_codes::NOT_FOUND
            }
            AttestError::Changed(_) | AttestError::Disagrees(_) => exit_codes::DISAGREES,
            AttestError::Refused(_) | AttestError::NoMain | AttestError::Nobody => exit_codes::USAGE,
            AttestError::Write(_) => exit_codes::INTERNAL,
        };
        Self::new(code, error.to_string())
    }
}

impl From<runner::RunError> for Failure {
    fn from(error: runner::RunError) -> Self {
        Self::new(error.exit_code(), error.to_string())
    }
}

impl From<crate::generate::GenerateError> for Failure {
    fn from(error: crate::generate::GenerateError) -> Self {
        use crate::generate::GenerateError;
        match error {
            GenerateError::Market(error) => error.into(),
            GenerateError::Start(_) | GenerateError::TooLong { .. } => {
                Self::new(exit_codes::USAGE, error.to_string())
            }
            GenerateError::File(_) => Self::new(exit_codes::INTERNAL, error.to_string()),
        }
    }
}

impl From<exchange::ExchangeError> for Failure {
    fn from(error: exchange::ExchangeError) -> Self {
        Self::new(exit_codes::USAGE, error.to_string())
    }
}
